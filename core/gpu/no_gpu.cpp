// Stands for this folder where zerorun is built without CUDA.
#include "core/error.h"
#include "core/gpu/gpu.h"
#include "core/gpu/profile.h"
#include "core/gpu/stretch.h"

namespace zerorun::gpu {

void fail_dtype(c10::ScalarType) { fail_absent(); }
void fail_absent() { fail(ErrorKind::bug, "a GPU is used, but {}", absence()); }

std::string build() { return ""; }
std::vector<Info> visible() { return {}; }
std::string absence() { return "zerorun was built without CUDA (ZERORUN_CUDA)"; }

Started start(const StartOptions&) { fail_absent(); }
Memory memory() { fail_absent(); }
GpuStream current_stream() { fail_absent(); }
Event record() { fail_absent(); }
void synchronize() { fail_absent(); }
std::unique_ptr<Stream> make_stream(int) { fail_absent(); }
std::unique_ptr<detail::AddressStretch> make_stretch() { fail_absent(); }
void copy(const void*, void*, int64_t) { fail_absent(); }
void copy_rows(const void*, int64_t, void*, int64_t, int64_t, int64_t) { fail_absent(); }
void fill_zero(void*, int64_t) { fail_absent(); }

Profile::Profile() { fail_absent(); }
Profile::~Profile() = default;
std::vector<Activity> Profile::end() { fail_absent(); }

Pinned::Pinned(void* memory, int64_t) : memory_(memory) { fail_absent(); }
Pinned::~Pinned() = default;

}  // namespace zerorun::gpu
