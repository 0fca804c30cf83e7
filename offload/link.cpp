#include "offload/link.h"

#include <chrono>
#include <thread>

namespace zerorun {
namespace {

class LinkedStream final : public Stream {
 public:
  LinkedStream(Link link, std::unique_ptr<Stream> inner) : link_(link), inner_(std::move(inner)) {}

  using Stream::submit;
  Event submit(Task task, std::vector<Event> after) override {
    const std::chrono::duration<double> least(link_.latency_seconds + static_cast<double>(task.bytes) / link_.bytes_per_second);
    task.run = [run = std::move(task.run), least] {
      const auto start = std::chrono::steady_clock::now();
      run();
      std::this_thread::sleep_until(start + least);
    };
    return inner_->submit(std::move(task), std::move(after));
  }

 private:
  const Link link_;
  std::unique_ptr<Stream> inner_;
};

}  // namespace

std::unique_ptr<Stream> through(Link link, std::unique_ptr<Stream> stream) { return std::make_unique<LinkedStream>(link, std::move(stream)); }

}  // namespace zerorun
