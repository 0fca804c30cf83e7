// Calls back when one of some processes ends, within milliseconds, also where nobody has waited for it yet.
#pragma once
#include <functional>
#include <thread>
#include <vector>

namespace zerorun {

class ProcessWatch {
 public:
  // `on_end` gets the index of each process that ends, on the watch's thread. One that cannot be watched is left out.
  ProcessWatch(const std::vector<int64_t>& processes, std::function<void(int index)> on_end);
  // A callback that has begun is waited for.
  ~ProcessWatch();
  ProcessWatch(const ProcessWatch&) = delete;
  ProcessWatch& operator=(const ProcessWatch&) = delete;

 private:
  void run(std::vector<int> descriptors, const std::function<void(int)>& on_end) const;

  int stop_ = -1;  // an eventfd
  std::thread thread_;
};

// Of the process, as ps shows it: 'T' stopped, 'Z' ended and not waited for; 0 where there is none.
char process_state(int64_t process);

}  // namespace zerorun
