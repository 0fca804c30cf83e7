#include "zero/sleeping_frames.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>

#include <algorithm>

#include "core/error.h"
#include "zero/flat_span.h"

namespace zerorun {
namespace {

constexpr int64_t kPieceBytes = 1 << 20;

at::Tensor without_data(at::IntArrayRef sizes, at::ScalarType dtype) { return at::empty(sizes, at::TensorOptions().dtype(dtype).device(at::kMeta)); }

// Not where a tensor has gaps, or reads elements twice: it would come back as another.
bool can_sleep(const at::Tensor& tensor) { return tensor.numel() > 0 && tensor.is_non_overlapping_and_dense(); }

}  // namespace

SleepingFrames::SleepingFrames(const Model& model, MemoryLedger& ledger, Offloader& offloader, SleepingFramesOptions options)
    : model_(model), ledger_(ledger), offloader_(offloader), options_(std::move(options)), frames_(static_cast<size_t>(model.unit_count())) {
  const MemoryScope scope(shapes_, Category::parameters);
  for (int unit = 0; unit < model.unit_count(); ++unit) {
    auto& weights = weights_.emplace_back();
    for (const auto& parameter : model.unit(unit).parameters()) weights.push_back(without_data(parameter.shape, options_.dtype));
  }
}

// There and back takes a visit each where moves run beside the computation: what the last two units read would be back as soon as it has gone.
bool SleepingFrames::may_sleep(int unit) const {
  const int after = model_.unit_count() - 1 - unit;
  return unit >= model_.first_trainable_unit() && model_.unit(unit).backward_needs_weights() && after >= (options_.place.overlaps ? 2 : 1);
}

void SleepingFrames::reserve(const StepContext& context) {
  const auto sizes = context.tokens.sizes().vec();
  if (sizes == reserved_for_) return;
  const int64_t bytes = lay_out(context);
  if (!store_ || store_->bytes() < bytes) {
    if (store_) offloader_.detach(*store_);
    store_.reset();
    store_ = options_.offload.open(options_.place, bytes, ledger_, options_.counts_only);
    offloader_.attach(*store_);
  }
  reserved_for_ = sizes;
}

int64_t SleepingFrames::lay_out(const StepContext& given) {
  const MemoryScope scope(shapes_, Category::activations);
  const at::AutoGradMode mode(false);
  StepContext context = given;
  context.tokens = without_data(given.tokens.sizes(), at::kLong);
  context.targets = without_data(given.targets.sizes(), at::kLong);
  Carry flow;
  int64_t bytes = 0, largest = 0;
  for (int unit = 0; unit < model_.unit_count() - 1; ++unit) {
    auto& frame = frames_[static_cast<size_t>(unit)] = {};
    if (may_sleep(unit) && std::ranges::all_of(flow, can_sleep)) {
      const int64_t begin = bytes;
      for (const auto& tensor : flow) {
        frame.tensors.push_back({tensor.sizes().vec(), tensor.strides().vec(), tensor.scalar_type(), static_cast<int64_t>(tensor.nbytes()), bytes});
        bytes += in_store_units(frame.tensors.back().bytes);
      }
      largest = std::max(largest, bytes - begin);
    }
    flow = model_.unit(unit).forward(context, weights_[static_cast<size_t>(unit)], std::move(flow));
  }
  if (options_.place.device == SleepingPlace::Device::disk) offloader_.reserve(std::clamp(largest, int64_t{0}, std::max(options_.offload.disk_batch_bytes, kPieceBytes)));
  return bytes;
}

Event SleepingFrames::send(int unit, const Carry& frame) {
  auto& place = frames_[static_cast<size_t>(unit)];
  const auto moved = move(frame, place, Lane::down, "send frame of " + model_.unit(unit).name(), {});
  place.stored = moved.stored;
  return moved.worked;
}

std::pair<Carry, Event> SleepingFrames::fetch(int unit) {
  auto& place = frames_[static_cast<size_t>(unit)];
  Carry frame;
  for (const auto& tensor : place.tensors) {
    frame.push_back(at::empty_strided(tensor.sizes, tensor.strides, at::TensorOptions().dtype(tensor.dtype).device(options_.device)));
  }
  const Event arrived = move(frame, place, Lane::up, "fetch frame of " + model_.unit(unit).name(), {place.stored}).worked;
  return {std::move(frame), arrived};
}

// The tensors' bytes, in pieces; up: from the store.
Offloader::Moved SleepingFrames::move(const Carry& tensors, const Frame& frame, Lane lane, const std::string& label, std::vector<Event> after) {
  ZR_CHECK(tensors.size() == frame.tensors.size(), "a frame of {} tensors where there were {}", tensors.size(), frame.tensors.size());
  const bool up = lane == Lane::up;
  std::vector<Piece> pieces;
  std::vector<Span> parts;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const auto& place = frame.tensors[t];
    ZR_CHECK(tensors[t].sizes() == place.sizes && tensors[t].strides() == place.strides && tensors[t].scalar_type() == place.dtype,
             "a frame that is not as its unit reads it on the meta device");
    const auto all = span_of(tensors[t]);
    const Span as_bytes{all.data, place.bytes, at::kByte, all.side};
    for (int64_t begin = 0; begin < place.bytes; begin += kPieceBytes) {
      const int64_t bytes = std::min(kPieceBytes, place.bytes - begin), length = in_store_units(bytes);
      pieces.push_back({place.offset + begin, length, {0, up ? length : 0}, {0, up ? 0 : length}});
      parts.push_back(as_bytes.part(begin, bytes));
    }
  }
  return offloader_.work_on(
      *store_, std::move(pieces), lane, label,
      [parts = std::move(parts), up](size_t first, std::span<std::byte* const> memory) {
        for (size_t i = 0; i < memory.size(); ++i) {
          const Span part = parts[first + i], asleep{memory[i], part.count, at::kByte};
          up ? copy(asleep, part) : copy(part, asleep);
        }
      },
      std::move(after));
}

}  // namespace zerorun
