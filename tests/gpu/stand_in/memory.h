// Memory of the GPUs that stand in: pages of the host's, of which each GPU has so many. What is new holds ones in every bit, NaN in every dtype.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>

namespace stand_in {

constexpr std::size_t kPage = std::size_t{2} << 20;

enum class Place { pageable, pinned, device };

struct Range {
  char* begin;
  std::size_t bytes;
  Place place;
  int device;
};

// Where [data, data + bytes) lies: pageable where nothing here knows it; none where it leaves the range that it begins in.
std::optional<Place> place_of(const void* data, std::size_t bytes = 1);
std::optional<Range> range_of(const void* data);

void* reserve(std::size_t bytes);
bool take(int device, std::size_t bytes);  // of the GPU's bytes: whether there are so many
void give_back(int device, std::size_t bytes);
void open_pages(void* at, std::size_t bytes, int device);   // of what was reserved
void close_pages(void* at, std::size_t bytes);
void unreserve(void* at, std::size_t bytes);

bool pin(void* data, std::size_t bytes);
bool unpin(void* data);

struct Use {
  std::size_t free, total;
};
Use use_of(int device);

int device_count();

}  // namespace stand_in
