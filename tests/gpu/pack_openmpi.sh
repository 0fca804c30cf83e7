#!/usr/bin/env bash
# Copies this Debian's OpenMPI 4.1 to a folder from which it runs on machines that have none: ranks of one machine, over shared memory and TCP.
#   pack_openmpi.sh OUT      a folder that is not there yet
# After `. OUT/env.sh` mpirun is on PATH and programs find libmpi, wherever OUT lies by then.
set -euo pipefail

say() { printf 'pack_openmpi: %s\n' "$*" >&2; exit 1; }
[ $# -eq 1 ] || say "usage: pack_openmpi.sh OUT"
[ ! -e "$1" ] || say "$1 is there already; name a folder that is not"
command -v orterun >/dev/null || say "no orterun: this needs Debian's openmpi-bin (docker/install-deps.sh)"

multiarch=lib/$(gcc -dumpmachine 2>/dev/null || echo x86_64-linux-gnu)
plugins=$multiarch/openmpi/lib/openmpi3
pmix=$multiarch/pmix2
[ -d "/usr/$plugins" ] && [ -d "/usr/$pmix/lib/pmix" ] || say "no /usr/$plugins or no /usr/$pmix/lib/pmix: this knows OpenMPI 4.1 with PMIx 4 of Debian 12 only"

# Kinds of plugins that ranks of one machine use; and of those kinds, the ones for networks, batch systems and profiling, which are left out.
kinds=" allocator bml btl coll compress errmgr ess fbtl fcoll filem fs grpcomm io iof mpool odls oob op osc patcher plm pmix pml pstat rcache reachable regx
        rmaps rml routed rtc schizo sharedfp shmem state topo ras "
left_out() { case $1 in *_ofi | *_ucx | *_openib | btl_sm | *slurm | *gridengine | *flux | *jsm | *monitoring | pml_cm) ;; *) return 1 ;; esac; }

out=$(realpath -m "$1")
mkdir -p "$out"/{bin,lib,etc/openmpi,share,"$plugins","$pmix/lib/pmix","$pmix/share"}
for program in orterun orted ompi_info; do cp -L "$(command -v $program)" "$out/bin/"; done
ln -s orterun "$out/bin/mpirun"
for file in /usr/"$plugins"/mca_*.so; do
  name=$(basename "$file" .so) && name=${name#mca_}
  [[ $kinds == *[[:space:]]"${name%%_*}"[[:space:]]* ]] && ! left_out "$name" && cp "$file" "$out/$plugins/"
done
cp /usr/"$pmix"/lib/pmix/*.so "$out/$pmix/lib/pmix/"
cp -r "/usr/$pmix/share/pmix" "$out/$pmix/share/"
cp -r /usr/share/openmpi "$out/share/" && rm -f "$out"/share/openmpi/*wrapper-data.txt
cp /etc/openmpi/openmpi-default-hostfile "$out/etc/openmpi/"

"$(dirname "${BASH_SOURCE[0]}")/copy_libraries.sh" "$out/lib" "$out"/bin/* "$out/$plugins"/*.so "$out/$pmix"/lib/pmix/*.so
find "$out" -type f \( -name '*.so*' -o -path '*/bin/*' \) -exec strip --strip-unneeded {} +

# Reading another rank's memory is often forbidden in containers; what zerorun shares does not need it.
cat >"$out/etc/openmpi/openmpi-mca-params.conf" <<'END'
btl = self,vader,tcp
btl_vader_single_copy_mechanism = none
END
# mpirun looks for a way to other hosts before it starts anything, also where there is only this one.
cat >"$out/bin/no-other-host" <<'END'
#!/bin/sh
echo "this OpenMPI starts ranks on its own machine only" >&2
exit 1
END
chmod +x "$out/bin/no-other-host"
cat >"$out/env.sh" <<END
# To be sourced by bash.
OPAL_PREFIX=\$(cd "\$(dirname "\${BASH_SOURCE[0]}")" && pwd)
export OPAL_PREFIX OPAL_SYSCONFDIR=\$OPAL_PREFIX/etc/openmpi
export PMIX_PREFIX=\$OPAL_PREFIX/$pmix PMIX_LIBDIR=\$OPAL_PREFIX/$pmix/lib PMIX_DATADIR=\$OPAL_PREFIX/$pmix/share
export OMPI_MCA_plm_rsh_agent=\$OPAL_PREFIX/bin/no-other-host OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export PATH=\$OPAL_PREFIX/bin:\$PATH LD_LIBRARY_PATH=\$OPAL_PREFIX/lib\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}
END
