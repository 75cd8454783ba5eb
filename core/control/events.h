// What happened that an operator should know of, the newest few: what GET /events shows.
//
// Threads: any.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.h"

namespace gorb::control {

struct Event {
    // Without gaps; the first of a run is the time of day in ms, so that those of a later run are higher.
    uint64_t number = 0;
    int64_t wall = 0;   // ns
    std::string kind;   // "drift", "refused", "made", "guard", "declared", "start"
    std::string entry;  // what it is about, "10.1.0.1:80 in 10.0.0.1:80/tcp", a VIP or a name
    std::string before, after;
    std::string text;
};

class Events {
  public:
    static constexpr size_t kept = 512;

    void add(Event event);  // its number is given here
    // Those after `number`, oldest first; all that are kept for 0, and for a number that is not given yet.
    std::vector<Event> since(uint64_t number) const;

  private:
    struct Content {
        std::deque<Event> events;
        uint64_t last = 0;
    };
    base::Guarded<Content> content_;
};

}  // namespace gorb::control
