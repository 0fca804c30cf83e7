#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "launcher/file_system.h"
#include "launcher/rates.h"

namespace zerorun {
namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
std::optional<double> optional_number(const Json& json) { return json.is_null() ? std::nullopt : std::optional(json.get<double>()); }

Json to_json(const Rates::Gpu& gpu) {
  return {{"name", gpu.name}, {"memory_bytes", gpu.memory}, {"multiprocessors", gpu.multiprocessors}, {"context_bytes", gpu.context}, {"workspace_bytes", gpu.workspace}};
}

// Throws Json::exception.
Rates::Gpu gpu_of(const Json& json) {
  const Rates::Gpu gpu{json.at("name"), json.at("memory_bytes"), json.at("multiprocessors"), json.at("context_bytes"), json.at("workspace_bytes")};
  if (gpu.memory <= 0 || gpu.multiprocessors <= 0 || gpu.context < 0 || gpu.workspace < 0) throw Json::other_error::create(502, "gpu is " + json.dump() + ", expected sizes above 0", &json);
  return gpu;
}

// Throws Json::exception, as what has the wrong form does.
void check_rates(const Json& json) {
  for (const char* section : {"bytes_per_second", "flops_per_second", "parameters_per_second"}) {
    for (const auto& [name, rate] : json.at(section).items()) {
      if (!rate.is_null() && !(rate.get<double>() > 0)) throw Json::other_error::create(501, name + " is " + rate.dump() + ", expected rates above 0", &json);
    }
  }
}

void check(int failure, const std::string& path, ErrorKind kind) {
  if (failure) fail(kind, "{}: {}; ZERORUN_RATES names another file", path, std::generic_category().message(failure));
}

}  // namespace

std::string rates_path() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (const auto path = variable("ZERORUN_RATES"); !path.empty()) return path;
  const std::string cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
  if (!cache.empty()) return cache + "/zerorun/rates.json";
  return home.empty() ? "" : home + "/.cache/zerorun/rates.json";
}

std::string rates_json(const Rates& rates) {
  const Json json = {{"host", rates.host},
                     {"threads", rates.threads},
                     {"gpu", rates.gpu ? to_json(*rates.gpu) : Json(nullptr)},
                     {"disk", rates.disk ? Json(*rates.disk) : Json(nullptr)},
                     {"bytes_per_second",
                      {{"memory_copy", rates.memory_copy},
                       {"memory_triad", rates.memory_triad},
                       {"host_to_device", rates.host_to_device},
                       {"device_to_host", rates.device_to_host},
                       {"disk_read", number_or_null(rates.disk_read)},
                       {"disk_write", number_or_null(rates.disk_write)},
                       {"disk_both", number_or_null(rates.disk_both)},
                       {"links", number_or_null(rates.links)},
                       {"network", number_or_null(rates.network)}}},
                     {"flops_per_second", rates.multiply},
                     {"parameters_per_second", {{"adamw", rates.adamw}, {"host_adamw", number_or_null(rates.host_adamw)}}}};
  return json.dump(2) + "\n";
}

std::optional<Rates> read_rates(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  try {
    const auto json = Json::parse(file);
    check_rates(json);
    const auto& bytes = json.at("bytes_per_second");
    Rates rates;
    if (!json.at("disk").is_null()) rates.disk = json.at("disk").get<std::string>();
    if (const auto gpu = json.value("gpu", Json()); !gpu.is_null()) rates.gpu = gpu_of(gpu);
    json.at("host").get_to(rates.host);
    json.at("threads").get_to(rates.threads);
    bytes.at("memory_copy").get_to(rates.memory_copy);
    bytes.at("memory_triad").get_to(rates.memory_triad);
    bytes.at("host_to_device").get_to(rates.host_to_device);
    bytes.at("device_to_host").get_to(rates.device_to_host);
    rates.disk_read = optional_number(bytes.at("disk_read"));
    rates.disk_write = optional_number(bytes.at("disk_write"));
    rates.disk_both = optional_number(bytes.at("disk_both"));
    rates.links = optional_number(bytes.value("links", Json()));
    rates.network = optional_number(bytes.value("network", Json()));
    rates.host_adamw = optional_number(json.at("parameters_per_second").value("host_adamw", Json()));
    json.at("flops_per_second").get_to(rates.multiply);
    json.at("parameters_per_second").at("adamw").get_to(rates.adamw);
    return rates;
  } catch (const Json::exception& error) {
    fail(ErrorKind::bad_data, "{} is not what zerorun bench rates writes ({}): run it again, or remove the file", path, error.what());
  }
}

void write_rates(const std::string& path, const Rates& rates) {
  const auto files = make_file_system();
  const auto folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty()) check(files->create_folders(folder), folder, ErrorKind::cannot_create);
  const auto failed = replace_file(*files, path, rates_json(rates));
  check(failed.error, failed.path, failed.in_writing ? ErrorKind::io : ErrorKind::cannot_create);
}

}  // namespace zerorun
