// An array that grows without moving: what stands in it keeps its place, and growing copies nothing.
//
// Threads: one may reach() while others use elements that were reached before and which they were told of
// under a lock.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/check.h"

namespace gorb::health {

template <class T>
class Chunks {
  public:
    static constexpr size_t chunk = 1024, most = 4096;  // elements of a chunk, chunks

    // Makes room for elements 0 to `index`.
    void reach(uint32_t index) {
        GORB_CHECK(index / chunk < most);
        while (count_ <= index / chunk) {
            chunks_[count_] = std::make_unique<T[]>(chunk);
            ++count_;
        }
    }
    size_t size() const { return count_ * chunk; }  // elements there is room for
    T& operator[](uint32_t index) { return chunks_[index / chunk][index % chunk]; }
    const T& operator[](uint32_t index) const { return chunks_[index / chunk][index % chunk]; }

  private:
    std::unique_ptr<std::unique_ptr<T[]>[]> chunks_ = std::make_unique<std::unique_ptr<T[]>[]>(most);
    size_t count_ = 0;
};

}  // namespace gorb::health
