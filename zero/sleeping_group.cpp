#include "zero/sleeping_group.h"

#include <vector>

#include "core/gpu/gpu.h"
#include "zero/flat_span.h"

namespace zerorun {
namespace {

// Pieces of parts [first, last) of all stripes; all of them needed, changed, or both.
AlikePieces pieces_of(const Stripes& stripes, int64_t offset, int first, int last, bool needed, bool changed) {
  return {stripes.size(), [=, &stripes](int64_t s) {
            auto piece = stripes.piece(offset, s, first, last);
            if (needed) piece.needed = {0, piece.bytes};
            if (changed) piece.changed = {0, piece.bytes};
            return piece;
          }};
}

// Part `part` of a piece that is a whole stripe.
Span part_of(std::byte* piece, const Stripes& stripes, int64_t stripe, int part, at::ScalarType dtype) {
  return {piece + stripes.range(stripe, part, part).begin, stripes.count(stripe), dtype};
}

// Runs work(stripe, piece) for each piece of a batch.
template <typename StripeWork>
Offloader::Work by_stripe(StripeWork work) {
  return [work](size_t first, std::span<std::byte* const> pieces) {
    for (size_t i = 0; i < pieces.size(); ++i) work(static_cast<int64_t>(first + i), pieces[i]);
  };
}

// fill(begin, count, out), rounded to the dtype of `to`.
void fill_rounded(const std::function<void(int64_t, int64_t, float*)>& fill, int64_t begin, Span to) {
  if (to.dtype == at::kFloat) return fill(begin, to.count, static_cast<float*>(to.data));
  constexpr int64_t kBlock = 1 << 16;
  std::vector<float> values(static_cast<size_t>(std::min(kBlock, to.count)));
  for (int64_t at = 0; at < to.count; at += kBlock) {
    const Span part = to.part(at, kBlock);
    fill(begin + at, part.count, values.data());
    convert({values.data(), part.count, at::kFloat}, part);
  }
}

}  // namespace

SleepingLayout SleepingLayout::of(const SleepingParts& parts, int64_t weights_stripe, int64_t state_stripe) {
  SleepingLayout layout;
  const auto& precision = parts.precision;
  const bool weights_alone = parts.weights && !(parts.state && parts.together);
  if (weights_alone) layout.weights.emplace(parts.count, weights_stripe, std::vector{precision.parameter_bytes()});
  if (!parts.state) return layout;
  std::vector<int64_t> bytes;
  if (precision.has_master() && !weights_alone) bytes.push_back(precision.parameter_bytes());
  layout.master_part = static_cast<int>(bytes.size());
  bytes.insert(bytes.end(), static_cast<size_t>(1 + parts.states), sizeof(float));
  bytes.push_back(precision.gradient_bytes());
  layout.state.emplace(parts.count, state_stripe, std::move(bytes));
  return layout;
}

SleepingGroup::SleepingGroup(std::string name, const SleepingParts& parts, SleepingLayout layout, Where weights, Where state, Offloader& offloader,
                             std::span<std::byte> staging)
    : name_(std::move(name)), parts_(parts), layout_(std::move(layout)), weights_(weights), state_(state), offloader_(offloader), staging_(staging) {}

void SleepingGroup::initialise(const std::function<void(int64_t begin, int64_t count, float* out)>& fill) {
  const auto write = [&](const Stripes& stripes, Where where, int last, int fp32_part) {
    const auto work = by_stripe([&, fp32_part](int64_t s, std::byte* piece) {
      const auto weights = part_of(piece, stripes, s, 0, parts_.precision.parameters);
      if (fp32_part < 0) return fill_rounded(fill, stripes.begin(s), weights);
      const auto master = part_of(piece, stripes, s, fp32_part, at::kFloat);
      fill(stripes.begin(s), master.count, static_cast<float*>(master.data));
      if (fp32_part > 0) convert(master, weights);
    });
    offloader_.work_on(*where.store, pieces_of(stripes, where.offset, 0, last, false, true), Lane::caller, label("initial values of"), work).stored.wait();
  };
  if (layout_.weights) write(*layout_.weights, weights_, 1, -1);
  if (layout_.state) write(*layout_.state, state_, layout_.master_part + 1, layout_.master_part);
}

void SleepingGroup::fetch(Span to, const Event& after) {
  const auto& stripes = layout_.weights ? *layout_.weights : *layout_.state;
  const Where where = layout_.weights ? weights_ : state_;
  const auto work = by_stripe([&stripes, to](int64_t s, std::byte* piece) {
    const Span part = to.part(stripes.begin(s), stripes.count(s));
    copy({piece, part.count, part.dtype}, part);
  });
  fetched_ = offloader_.work_on(*where.store, pieces_of(stripes, where.offset, 0, 1, true, false), Lane::up, label("fetch"), work, {stored_, after}).worked;
}

Event SleepingGroup::write_back(Span from) {
  const auto& stripes = *layout_.weights;
  const auto work = by_stripe([&stripes, from](int64_t s, std::byte* piece) {
    const Span part = from.part(stripes.begin(s), stripes.count(s));
    copy(part, {piece, part.count, part.dtype});
  });
  const auto moved = offloader_.work_on(*weights_.store, pieces_of(stripes, weights_.offset, 0, 1, false, true), Lane::down, label("write-back"), work, {stored_});
  stored_ = moved.stored;
  return moved.worked;
}

void SleepingGroup::land(Span part, bool first, Squares squares) {
  const auto& stripes = *layout_.state;
  const int gradient = stripes.parts() - 1;
  if (squares.sum) squares.sum->expect(part.data ? squares.count : 0);  // without data none come
  const auto work = by_stripe([this, &stripes, part, first, squares](int64_t s, std::byte* piece) {
    const Span sum{piece, stripes.count(s), parts_.precision.gradients}, addend = part.part(stripes.begin(s), sum.count);
    first ? convert(addend, sum) : add_by_way_of(staging_, addend, sum);
    if (!squares.sum) return;
    const int64_t begin = std::max<int64_t>(squares.begin - stripes.begin(s), 0), end = std::min(squares.begin + squares.count - stripes.begin(s), sum.count);
    if (begin < end) squares.sum->append(sum.part(begin, end - begin));
    if (s == stripes.size() - 1) squares.sum->close();
  });
  const auto moved = offloader_.work_on(*state_.store, pieces_of(stripes, state_.offset, gradient, gradient + 1, !first, true), Lane::down,
                                        label("gradient of"), work, {stored_});
  stored_ = moved.stored;
  landed_ = moved.worked;
}

void SleepingGroup::update(const Optimizer& optimizer, const UpdateArguments& arguments, int64_t decay_count, const Rounding& rounding) {
  const auto& stripes = *layout_.state;
  const int master = layout_.master_part, gradient = stripes.parts() - 1;
  const AlikePieces pieces{stripes.size(), [this, &stripes, master, gradient](int64_t s) {
                             auto piece = stripes.piece(state_.offset, s, 0, stripes.parts());
                             piece.needed = stripes.range(s, master, stripes.parts());
                             piece.changed = stripes.range(s, 0, gradient);
                             return piece;
                           }};
  const bool beside = layout_.weights && weights_.store->is_memory();  // weights apart are written on the way, where they are memory
  Span weights_apart;
  if (beside) weights_apart = {weights_.store->data() + weights_.offset, parts_.count, parts_.precision.parameters};
  const auto work = by_stripe([this, &stripes, &optimizer, arguments, decay_count, rounding, master, gradient, weights_apart](int64_t s, std::byte* piece) {
    const auto fp32 = [&](int part) { return static_cast<float*>(part_of(piece, stripes, s, part, at::kFloat).data); };
    FlatSlice slice;
    slice.parameter = fp32(master);
    slice.gradient = part_of(piece, stripes, s, gradient, parts_.precision.gradients);
    if (master > 0) slice.rounded = part_of(piece, stripes, s, 0, parts_.precision.parameters);
    for (int i = 0; i < parts_.states; ++i) slice.state[static_cast<size_t>(i)] = fp32(master + 1 + i);
    slice.count = stripes.count(s);
    slice.decay_count = std::clamp<int64_t>(decay_count - stripes.begin(s), 0, slice.count);
    slice.rounding = rounding.from(stripes.begin(s));
    optimizer.update(slice, arguments);
    if (weights_apart.data) round_masters({slice.parameter, slice.count, at::kFloat}, weights_apart.part(stripes.begin(s), slice.count), slice.rounding);
  });
  stored_ = offloader_.work_on(*state_.store, pieces, Lane::update, label("update"), work, {stored_}).stored;
  if (layout_.weights && !beside) copy_weights_to_disk(rounding);
}

// REQUIRES that masters are in memory.
void SleepingGroup::copy_weights_to_disk(const Rounding& rounding) {
  const auto& stripes = *layout_.weights;
  const Span masters = part_of(state_.store->data() + state_.offset, *layout_.state, 0, layout_.master_part, at::kFloat);
  const auto work = by_stripe([this, &stripes, masters, rounding](int64_t s, std::byte* piece) {
    const Span weights{piece, stripes.count(s), parts_.precision.parameters};
    round_masters(masters.part(stripes.begin(s), weights.count), weights, rounding.from(stripes.begin(s)));
  });
  stored_ = offloader_.work_on(*weights_.store, pieces_of(stripes, weights_.offset, 0, 1, false, true), Lane::update, label("rounding of"), work, {stored_}).stored;
}

void SleepingGroup::read_values(Span to) {
  const bool masters = layout_.state.has_value();
  const auto& stripes = masters ? *layout_.state : *layout_.weights;
  const int part = masters ? layout_.master_part : 0;
  read(stripes, masters ? state_ : weights_, part, masters ? at::kFloat : parts_.precision.parameters, to);
}

void SleepingGroup::read_gradient(Span to) { read(*layout_.state, state_, layout_.state->parts() - 1, parts_.precision.gradients, to); }

void SleepingGroup::read(const Stripes& stripes, Where where, int part, at::ScalarType dtype, Span to) {
  const auto work = by_stripe([&stripes, dtype, to](int64_t s, std::byte* piece) {
    convert({piece, stripes.count(s), dtype}, to.part(stripes.begin(s), stripes.count(s)));
    if (to.side == Side::gpu) gpu::synchronize();  // the piece may be a buffer, which the next fills
  });
  offloader_.work_on(*where.store, pieces_of(stripes, where.offset, part, part + 1, true, false), Lane::caller, label("reading of"), work, {stored_}).worked.wait();
}

}  // namespace zerorun
