// The time of a step that the machine's rates allow: what each resource has to do, by what it does in a second. A lower bound: norms, collectives
// and what competes for the same cores are not in it.
#pragma once
#include <array>
#include <optional>
#include <string>

#include "launcher/rates.h"

namespace zerorun {

struct StepWork;

enum class Resource { compute, to_device, to_host, disk_read, disk_write, update };
inline constexpr int kResourceCount = 6;
inline constexpr std::array kResources{Resource::compute, Resource::to_device, Resource::to_host, Resource::disk_read, Resource::disk_write, Resource::update};

const char* name_of(Resource resource);  // "matrix products"
// As in JSON: "compute".
const char* key_of(Resource resource);

// Of each resource: operations, bytes or parameters; or what it does of them in a second; or seconds.
struct ByResource {
  std::array<double, kResourceCount> values{};
  double& operator[](Resource resource) { return values[static_cast<size_t>(resource)]; }
  double operator[](Resource resource) const { return values[static_cast<size_t>(resource)]; }
};

// Phases of a step, one after the other: forward, beside the updates of what sleeps; backward; the updates on the device.
inline constexpr int kPhaseCount = 3;
inline constexpr std::array<const char*, kPhaseCount> kPhaseNames{"forward", "backward", "update"};
using ByPhase = std::array<ByResource, kPhaseCount>;
ByPhase amounts_of(const StepWork& work);
ByResource sum_of(const ByPhase& phases);

// None: it was not measured.
struct Computation {
  std::string dtype = "fp32";  // of the matrix products: "fp32", "bf16" or "fp16"
  int optimizer_states = 2;    // an update moves 12 bytes a parameter and 8 more for each: AdamW's rate serves for all
  bool overlaps = true;        // moves and updates run beside the products; false: each is waited for
};
std::optional<double> rate_of(Resource resource, const Rates& rates, const Computation& computation);

struct StepTime {
  ByPhase seconds;       // that each resource works
  bool overlaps = true;

  // Of the slowest resource; blocked, of the products and then of moves and updates, which share the time with the disk that they wait for.
  double of_phase(size_t phase) const;
  double total() const;
  Resource bounded_by() const;
};

// What takes most; REQUIRES that something takes time.
Resource largest_of(const ByResource& seconds);

// Where reads and writes run beside each other, the one that takes longer takes what the disk needs for both.
// None where a rate is missing that the step needs.
std::optional<StepTime> step_time(const StepWork& work, const Rates& rates, const Computation& computation);

}  // namespace zerorun
