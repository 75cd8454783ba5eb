// Numbers of places in which instances keep their probes, and of the runs that a place has had: of all
// instances of this process, so that no two of them ever give a run the same number.
//
// Threads: any. Cost: a lock for every chunk of places, none for a run.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "base/guarded.h"

namespace gorb::plugin {

// Chunks of places, by number.
class PlaceNumbers {
  public:
    struct Chunk {
        uint32_t number = 0;
        uint64_t runs = 0;  // the most that one of its places has had
    };
    explicit PlaceNumbers(uint32_t chunks) : chunks_(chunks) {}

    // nullopt: all are taken.
    std::optional<Chunk> take() {
        return book_.with([this](Book& book) -> std::optional<Chunk> {
            if (!book.free.empty()) {
                const Chunk chunk = book.free.back();
                book.free.pop_back();
                return chunk;
            }
            if (book.next == chunks_) return std::nullopt;
            return Chunk{book.next++, 0};
        });
    }
    // One that was taken, with the runs that its places have had by now.
    void give_back(Chunk chunk) {
        book_.with([&](Book& book) { book.free.push_back(chunk); });
    }

  private:
    struct Book {
        std::vector<Chunk> free;
        uint32_t next = 0;
    };
    const uint32_t chunks_;
    base::Guarded<Book> book_;
};

}  // namespace gorb::plugin
