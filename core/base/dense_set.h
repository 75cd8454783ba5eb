// DenseSet: values found by a key that is in them, for as few bytes as can be: they lie side by side, and a
// table of their 32-bit places (5 to 11 bytes each) finds them.
//
// KeyOf gives the key of a value, Hash its hash (it need not be a good one). Pointers into a set are valid
// until its next insert() or erase().
// Cost: find, insert and erase O(1); small sets have no table. At most 2^32 - 2 values.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/give_back.h"

namespace gorb::base {

template <class T, class KeyOf, class Hash>
class DenseSet {
  public:
    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    template <class Key>
    const T* find(const Key& key) const {
        const uint32_t at = place_of(key);
        return at == none ? nullptr : &item(at);
    }
    template <class Key>
    T* find(const Key& key) {
        return const_cast<T*>(std::as_const(*this).find(key));
    }

    // Adds it, or replaces the one with the same key.
    T& insert(T value) {
        if (T* there = find(KeyOf{}(value))) return *there = std::move(value);
        if (size_ % chunk == 0) {
            chunks_.emplace_back();
            if (chunks_.size() > 1) chunks_.back().reserve(chunk);
        }
        T& added = chunks_.back().emplace_back(std::move(value));
        const auto at = static_cast<uint32_t>(size_++);
        if (size_ > scanned && size_ * 4 > table_.size() * 3) {
            rebuild();
        } else if (!table_.empty()) {
            note(at);
        }
        return added;
    }

    // false: there was none.
    template <class Key>
    bool erase(const Key& key) {
        const uint32_t at = place_of(key);
        if (at == none) return false;
        const auto last = static_cast<uint32_t>(size_ - 1);
        if (!table_.empty()) {
            unnote(at);
            if (at != last) table_[cell_of(last)] = at + 1;
        }
        if (at != last) item(at) = std::move(item(last));
        chunks_.back().pop_back();
        if (chunks_.back().empty()) chunks_.pop_back();
        if (--size_ == 0) give_back(table_);
        return true;
    }

    void clear() { *this = DenseSet(); }

    // fn(const T&) in no order; fn must not change the set.
    template <class Fn>
    void for_each(Fn&& fn) const {
        for (const auto& values : chunks_) {
            for (const T& value : values) fn(value);
        }
    }

  private:
    static constexpr size_t chunk = 256;  // values that are allocated together
    static constexpr size_t scanned = 8;  // up to so many values need no table
    static constexpr uint32_t none = UINT32_MAX;

    T& item(size_t at) { return chunks_[at / chunk][at % chunk]; }
    const T& item(size_t at) const { return chunks_[at / chunk][at % chunk]; }
    size_t next(size_t cell) const { return (cell + 1) & (table_.size() - 1); }
    template <class Key>
    size_t home(const Key& key) const {
        uint64_t h = Hash{}(key);
        h ^= h >> 32;
        h *= 0x9e3779b97f4a7c15ULL;
        return (h >> 32) & (table_.size() - 1);
    }

    template <class Key>
    uint32_t place_of(const Key& key) const {
        if (table_.empty()) {
            for (size_t i = 0; i < size_; ++i) {
                if (KeyOf{}(item(i)) == key) return static_cast<uint32_t>(i);
            }
            return none;
        }
        for (size_t cell = home(key); table_[cell] != 0; cell = next(cell)) {
            if (KeyOf{}(item(table_[cell] - 1)) == key) return table_[cell] - 1;
        }
        return none;
    }
    // The cell of the table that names the value at `at`.
    size_t cell_of(uint32_t at) const {
        size_t cell = home(KeyOf{}(item(at)));
        while (table_[cell] != at + 1) cell = next(cell);
        return cell;
    }
    void note(uint32_t at) {
        size_t cell = home(KeyOf{}(item(at)));
        while (table_[cell] != 0) cell = next(cell);
        table_[cell] = at + 1;
    }
    // Linear probing without tombstones: what stood behind for want of this cell moves up.
    void unnote(uint32_t at) {
        size_t hole = cell_of(at);
        for (size_t cell = next(hole); table_[cell] != 0; cell = next(cell)) {
            const size_t wanted = home(KeyOf{}(item(table_[cell] - 1)));
            const size_t mask = table_.size() - 1;
            if (((cell - wanted) & mask) < ((cell - hole) & mask)) continue;
            table_[hole] = table_[cell];
            hole = cell;
        }
        table_[hole] = 0;
    }
    void rebuild() {
        size_t cells = table_.empty() ? 2 * scanned : table_.size();
        while (size_ * 4 > cells * 3) cells *= 2;
        table_.assign(cells, 0);
        for (size_t i = 0; i < size_; ++i) note(static_cast<uint32_t>(i));
    }

    std::vector<std::vector<T>> chunks_;
    std::vector<uint32_t> table_;  // place + 1, or 0
    size_t size_ = 0;
};

}  // namespace gorb::base
