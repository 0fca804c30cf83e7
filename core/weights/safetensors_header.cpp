#include "core/weights/safetensors_header.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.h"

namespace zerorun {
namespace {

using Json = nlohmann::json;

// Follows the text event by event and takes nothing but the one form a header may have.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { return refuse("null"); }
  bool boolean(bool value) override { return refuse(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return refuse(fmt::format("{}", value)); }
  bool number_float(number_float_t, const string_t& text) override { return refuse(text); }
  bool binary(binary_t&) override { return refuse("binary"); }
  bool number_unsigned(number_unsigned_t value) override;
  bool string(string_t& text) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override;
  bool end_array() override;
  bool key(string_t& name) override;
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override;

 private:
  enum class Place { start, top, metadata_start, metadata, tensor_start, tensor, dtype, shape_start, shape, offsets_start, offsets };

  template <typename... Values>
  [[noreturn]] void bad(fmt::format_string<Values...> format, Values&&... values) const {
    fail(ErrorKind::bad_data, "{}: {}", path_, fmt::format(format, std::forward<Values>(values)...));
  }
  std::string what() const;
  bool refuse(const std::string& found) const { bad("{} is {}, expected {}", what(), shown(found), expected()); }
  std::string expected() const;
  bool field(const std::string& name);
  void check_complete() const;

  const std::string& path_;
  SafetensorsHeader header_;
  Place place_ = Place::start;
  std::string name_;  // of the tensor, or of the entry of the metadata
  StoredTensor tensor_;
  std::vector<int64_t> offsets_;
  std::set<std::string> fields_;  // of the tensor, so far
  bool has_metadata_ = false;
};

std::string HeaderReader::what() const {
  switch (place_) {
    case Place::start: case Place::top: return "the header";
    case Place::metadata_start: return "__metadata__";
    case Place::metadata: return fmt::format("__metadata__ {}", shown(name_));
    case Place::tensor_start: case Place::tensor: return fmt::format("tensor {}", shown(name_));
    case Place::dtype: return fmt::format("tensor {}: dtype", shown(name_));
    case Place::shape_start: return fmt::format("tensor {}: shape", shown(name_));
    case Place::shape: return fmt::format("tensor {}: a size in its shape", shown(name_));
    case Place::offsets_start: return fmt::format("tensor {}: data_offsets", shown(name_));
    case Place::offsets: return fmt::format("tensor {}: a data_offset", shown(name_));
  }
  return "";
}

std::string HeaderReader::expected() const {
  switch (place_) {
    case Place::start: case Place::top: return "a JSON object of tensors";
    case Place::metadata_start: return "an object of texts";
    case Place::metadata: return "a text";
    case Place::tensor_start: case Place::tensor: return "an object of dtype, shape and data_offsets";
    case Place::dtype: return "the name of a type such as F32";
    case Place::shape_start: return "a list of sizes";
    case Place::offsets_start: return "a list of two places [begin, end]";
    case Place::shape: case Place::offsets: return "an integer from 0 to 2^63 - 1";
  }
  return "";
}

bool HeaderReader::number_unsigned(number_unsigned_t value) {
  const bool fits = value <= static_cast<uint64_t>(INT64_MAX);
  if (!fits || (place_ != Place::shape && place_ != Place::offsets)) return refuse(fmt::format("{}", value));
  if (place_ == Place::shape) {
    tensor_.shape.push_back(static_cast<int64_t>(value));
    return true;
  }
  if (offsets_.size() == 2) bad("tensor {}: data_offsets has more than two places, expected [begin, end]", shown(name_));
  offsets_.push_back(static_cast<int64_t>(value));
  return true;
}

bool HeaderReader::string(string_t& text) {
  if (place_ == Place::metadata) {
    header_.metadata[name_] = text;
    return true;
  }
  if (place_ != Place::dtype) return refuse(fmt::format("the text \"{}\"", text));
  const auto dtype = find_dtype(text);
  if (!dtype) bad("tensor {}: unknown dtype {}, expected one of the format's, such as F32, F16 or BF16", shown(name_), shown(text));
  tensor_.dtype = *dtype;
  place_ = Place::tensor;
  return true;
}

bool HeaderReader::start_object(std::size_t) {
  switch (place_) {
    case Place::start: place_ = Place::top; return true;
    case Place::metadata_start: place_ = Place::metadata; return true;
    case Place::tensor_start: place_ = Place::tensor; return true;
    default: return refuse("an object");
  }
}

bool HeaderReader::end_object() {
  if (place_ == Place::tensor) {
    check_complete();
    if (offsets_.size() != 2) bad("tensor {}: data_offsets has {} places, expected [begin, end]", shown(name_), offsets_.size());
    tensor_.begin = offsets_[0];
    tensor_.end = offsets_[1];
    header_.tensors[name_] = std::move(tensor_);
  }
  place_ = Place::top;
  return true;
}

bool HeaderReader::start_array(std::size_t) {
  if (place_ == Place::shape_start) place_ = Place::shape;
  else if (place_ == Place::offsets_start) place_ = Place::offsets;
  else return refuse("a list");
  return true;
}

bool HeaderReader::end_array() {
  place_ = Place::tensor;
  return true;
}

bool HeaderReader::key(string_t& name) {
  if (place_ == Place::tensor) return field(name);
  name_ = name;
  if (place_ == Place::metadata) {
    if (!header_.metadata.emplace(name, "").second) bad("__metadata__ has {} twice", shown(name));
    return true;
  }
  const bool is_metadata = name == "__metadata__";
  if (header_.tensors.contains(name) || (is_metadata && has_metadata_)) bad("the header has {} twice", shown(name));
  has_metadata_ |= is_metadata;
  tensor_ = {};
  offsets_.clear();
  fields_.clear();
  place_ = is_metadata ? Place::metadata_start : Place::tensor_start;
  return true;
}

bool HeaderReader::field(const std::string& name) {
  if (!fields_.insert(name).second) bad("tensor {} has {} twice", shown(name_), shown(name));
  if (name == "dtype") place_ = Place::dtype;
  else if (name == "shape") place_ = Place::shape_start;
  else if (name == "data_offsets") place_ = Place::offsets_start;
  else bad("tensor {} has an unknown key {}, expected dtype, shape and data_offsets", shown(name_), shown(name));
  return true;
}

void HeaderReader::check_complete() const {
  for (const char* needed : {"dtype", "shape", "data_offsets"}) {
    if (!fields_.contains(needed)) bad("tensor {} has no {}", shown(name_), needed);
  }
}

bool HeaderReader::parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) {
  const std::string text = error.what();
  const size_t detail = text.rfind("] ");  // the library's own number goes
  bad("the header is not valid JSON at byte {}: {}", position, shown(detail == std::string::npos ? text : text.substr(detail + 2)));
}

void check_size(const std::string& name, const StoredTensor& tensor, int64_t data_bytes, const std::string& path) {
  const std::string which = fmt::format("{}: tensor {}", path, shown(name));
  if (tensor.begin > tensor.end || tensor.end > data_bytes) {
    fail(ErrorKind::bad_data, "{}: data_offsets are [{}, {}], expected begin <= end <= {}, the bytes after the header{}", which, tensor.begin,
         tensor.end, data_bytes, tensor.begin > tensor.end ? "" : " (is the file cut short?)");
  }
  const auto count = elements_of(tensor.shape);
  int64_t bits = 0;
  if (!count || __builtin_mul_overflow(*count, bits_of(tensor.dtype), &bits)) {
    fail(ErrorKind::bad_data, "{}: shape {} has more elements than can be counted", which, shape_text(tensor.shape));
  }
  if (bits % 8 != 0 || tensor.bytes() != bits / 8) {
    fail(ErrorKind::bad_data, "{}: data_offsets hold {} bytes, but shape {} of {} takes {} bits", which, tensor.bytes(),
         shape_text(tensor.shape), name_of(tensor.dtype), bits);
  }
}

void check_places(const SafetensorsHeader& header, int64_t data_bytes, const std::string& path) {
  std::vector<const std::pair<const std::string, StoredTensor>*> order;
  for (const auto& entry : header.tensors) {
    check_size(entry.first, entry.second, data_bytes, path);
    order.push_back(&entry);
  }
  std::ranges::sort(order, {}, [](const auto* entry) { return std::pair(entry->second.begin, entry->second.end); });
  int64_t end = 0;
  for (const auto* entry : order) {
    const auto& [name, tensor] = *entry;
    if (tensor.begin != end) {
      fail(ErrorKind::bad_data, "{}: tensor {} begins at byte {}, expected {}, where the one before it ends: {}", path, shown(name), tensor.begin,
           end, tensor.begin < end ? "they overlap" : "there is a hole");
    }
    end = tensor.end;
  }
  if (end != data_bytes) fail(ErrorKind::bad_data, "{}: {} bytes follow the header, but the tensors end at {}", path, data_bytes, end);
}

}  // namespace

int64_t StoredTensor::count() const { return elements_of(shape).value_or(0); }

std::optional<int64_t> elements_of(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) return std::nullopt;
  }
  return count;
}

std::string shown(std::string_view text) {
  constexpr size_t kMostShown = 120;
  std::string line(text.substr(0, kMostShown));
  std::replace_if(line.begin(), line.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  return text.size() > kMostShown ? line + "..." : line;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  constexpr size_t kMostShown = 16;
  const auto first = std::vector(shape.begin(), shape.begin() + static_cast<int64_t>(std::min(shape.size(), kMostShown)));
  return fmt::format("[{}{}]", fmt::join(first, ", "), shape.size() > kMostShown ? ", ..." : "");
}

SafetensorsHeader parse_safetensors_header(std::string_view text, int64_t data_bytes, const std::string& path) {
  if (!text.starts_with('{')) fail(ErrorKind::bad_data, "{}: the header does not begin with {{: this is no safetensors file", path);
  const size_t last = text.find_last_not_of(' ');
  if (text[last] != '}') fail(ErrorKind::bad_data, "{}: the header does not end with }}, followed by spaces only", path);
  HeaderReader reader(path);
  Json::sax_parse(text.substr(0, last + 1), &reader);
  auto header = reader.take();
  check_places(header, data_bytes, path);
  return header;
}

}  // namespace zerorun
