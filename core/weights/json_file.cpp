#include "core/weights/json_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "core/error.h"
#include "core/weights/file_descriptor.h"

namespace zerorun {
namespace {

using Json = nlohmann::json;

// The library's message without its number, fit for one line.
std::string reason_of(const Json::exception& error) {
  const std::string text = error.what();
  const size_t detail = text.find("] ");
  std::string reason = detail == std::string::npos ? text : text.substr(detail + 2);
  std::replace_if(reason.begin(), reason.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return reason;
}

}  // namespace

Json parse_json(const std::string& text, const std::string& path) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth >= kJsonDepth) fail(ErrorKind::bad_data, "{} is nested deeper than {}", path, kJsonDepth);
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      fail(ErrorKind::bad_data, "{} has the key {} twice in one object", path, parsed.dump(-1, ' ', true));
    }
    return true;
  };
  try {
    return Json::parse(text, watch);
  } catch (const Json::exception& error) {
    fail(ErrorKind::bad_data, "{} is not valid JSON: {}", path, reason_of(error));
  }
}

Json read_json_file(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail(ErrorKind::missing_input, "cannot open {}: {}", path, system_message(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(ErrorKind::io, "cannot examine {}: {}", path, system_message(errno));
  if (!S_ISREG(status.st_mode)) fail(ErrorKind::bad_data, "{} is not a regular file, expected JSON", path);
  if (status.st_size > kMostJsonBytes) {
    fail(ErrorKind::bad_data, "{} has {} bytes, expected at most {}", path, status.st_size, kMostJsonBytes);
  }
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::pread(file.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(ErrorKind::io, "cannot read {}: {}", path, system_message(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return parse_json(text, path);
}

}  // namespace zerorun
