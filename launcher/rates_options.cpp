#include "launcher/rates.h"
#include "launcher/settings_values.h"
#include "launcher/usage.h"

namespace zerorun {
namespace {

namespace po = boost::program_options;

constexpr int64_t kMebibyte = 1 << 20, kMostMebibytes = 1 << 20;

Settings::Device device_of(const std::string& name) {
  const Choice<Settings::Device> devices{{"auto", "cpu", "cuda"}};
  const auto device = devices.read(name);
  if (!device) fail_usage("bench rates: --device is '{}', expected {}", name, devices.expected());
  return *device;
}

}  // namespace

RatesOptions parse_rates_options(int argc, const char* const* argv) {
  po::options_description known;
  known.add_options()("path", po::value<std::string>())("mib", po::value<int64_t>())("device", po::value<std::string>())("json", po::bool_switch())("words", po::value<std::vector<std::string>>());
  po::positional_options_description positional;
  positional.add("words", -1);
  const auto given = parse_options(argc, argv, known, positional);
  const auto words = given["words"].as<std::vector<std::string>>();
  if (words.size() > 2) fail_usage("zerorun bench rates takes no file, found {}", words[2]);
  RatesOptions options;
  if (given.count("path") != 0) options.path = given["path"].as<std::string>();
  const int64_t mebibytes = given.count("mib") != 0 ? given["mib"].as<int64_t>() : options.bytes / kMebibyte;
  if (mebibytes < 1 || mebibytes > kMostMebibytes) fail_usage("--mib is {}, expected 1 to {}", mebibytes, kMostMebibytes);
  options.bytes = mebibytes * kMebibyte;
  if (given.count("device") != 0) options.device = device_of(given["device"].as<std::string>());
  options.json = given["json"].as<bool>();
  return options;
}

}  // namespace zerorun
