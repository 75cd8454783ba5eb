// Finds slots by what stands in them: a hash table of numbers, without a node for each.
//
// Threads: one at a time. Cost: O(1); about 13 bytes an entry.
#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace gorb::health {

class SlotTable {
  public:
    static constexpr uint32_t none = std::numeric_limits<uint32_t>::max();

    // The slot put in with this hash for which same(slot) is true, or none.
    template <class Same>
    uint32_t find(uint32_t hash, Same&& same) const {
        if (cells_.empty()) return none;
        for (size_t i = hash & mask();; i = (i + 1) & mask()) {
            const Cell& cell = cells_[i];
            if (cell.slot == none) return none;
            if (cell.hash == hash && same(cell.slot)) return cell.slot;
        }
    }
    void insert(uint32_t hash, uint32_t slot) {
        if ((size_ + 1) * 5 > cells_.size() * 4) grow();
        place({hash, slot});
        ++size_;
    }
    // It must be there.
    void erase(uint32_t hash, uint32_t slot) {
        size_t hole = hash & mask();
        while (cells_[hole].slot != slot) hole = (hole + 1) & mask();
        // Those behind it move up, unless that would put them before their own place.
        for (size_t i = (hole + 1) & mask(); cells_[i].slot != none; i = (i + 1) & mask()) {
            const size_t wanted = cells_[i].hash & mask();
            if (((i - wanted) & mask()) >= ((i - hole) & mask())) {
                cells_[hole] = cells_[i];
                hole = i;
            }
        }
        cells_[hole] = {};
        --size_;
    }
    size_t size() const { return size_; }

  private:
    struct Cell {
        uint32_t hash = 0, slot = none;
    };
    size_t mask() const { return cells_.size() - 1; }
    void place(Cell cell) {
        size_t i = cell.hash & mask();
        while (cells_[i].slot != none) i = (i + 1) & mask();
        cells_[i] = cell;
    }
    void grow() {
        std::vector<Cell> old(cells_.empty() ? 8 : cells_.size() * 2);
        old.swap(cells_);
        for (const Cell& cell : old) {
            if (cell.slot != none) place(cell);
        }
    }

    std::vector<Cell> cells_;  // a power of two of them, at most four fifths in use
    size_t size_ = 0;
};

}  // namespace gorb::health
