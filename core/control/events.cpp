#include "control/events.h"

#include <algorithm>

namespace gorb::control {
namespace {

constexpr uint64_t ns_of_ms = 1'000'000;

}  // namespace

void Events::add(Event event) {
    content_.with([&](Content& c) {
        if (c.last == 0) c.last = static_cast<uint64_t>(std::max<int64_t>(event.wall, 0)) / ns_of_ms;
        event.number = ++c.last;
        c.events.push_back(std::move(event));
        if (c.events.size() > kept) c.events.pop_front();
    });
}

std::vector<Event> Events::since(uint64_t number) const {
    return content_.with([&](const Content& c) {
        // A number of before the start, when the clock was ahead: all of these are new to who has it.
        const uint64_t after = number > c.last ? 0 : number;
        std::vector<Event> out;
        for (const Event& event : c.events) {
            if (event.number > after) out.push_back(event);
        }
        return out;
    });
}

}  // namespace gorb::control
