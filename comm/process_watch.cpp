#include "comm/process_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "core/error.h"

namespace zerorun {

ProcessWatch::ProcessWatch(const std::vector<int64_t>& processes, std::function<void(int)> on_end) : stop_(eventfd(0, EFD_CLOEXEC)) {
  std::vector<int> descriptors;
  for (const int64_t process : processes) descriptors.push_back(static_cast<int>(syscall(SYS_pidfd_open, static_cast<pid_t>(process), 0)));
  thread_ = std::thread([this, descriptors, on_end = std::move(on_end)] { run(descriptors, on_end); });
}

ProcessWatch::~ProcessWatch() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(stop_);
}

// poll leaves out what is below 0.
void ProcessWatch::run(std::vector<int> descriptors, const std::function<void(int)>& on_end) const {
  std::vector<pollfd> watched;
  for (const int descriptor : descriptors) watched.push_back({descriptor, POLLIN, 0});
  watched.push_back({stop_, POLLIN, 0});
  while (watched.back().revents == 0) {
    if (poll(watched.data(), watched.size(), -1) < 0) continue;
    for (size_t i = 0; i + 1 < watched.size() && watched.back().revents == 0; ++i) {
      if (watched[i].revents == 0) continue;
      watched[i].fd = -1;
      on_end(static_cast<int>(i));
    }
  }
  for (const int descriptor : descriptors) {
    if (descriptor >= 0) close(descriptor);
  }
}

// "123 (name with ) in it) S ...": the state comes behind the last parenthesis.
char process_state(int64_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text;
  std::getline(file, text);
  const size_t name_end = text.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= text.size() ? 0 : text[name_end + 2];
}

}  // namespace zerorun
