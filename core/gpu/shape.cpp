#include "core/gpu/shape.h"

#include <utility>

namespace zerorun::gpu {
namespace {

thread_local Shape current;

}  // namespace

Shape foretold() { return current; }

Foretell::Foretell(Shape shape) : enclosing_(std::exchange(current, shape)) {}
Foretell::~Foretell() { current = enclosing_; }

}  // namespace zerorun::gpu
