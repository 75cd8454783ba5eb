#include "control/events.h"

namespace gorb::control {

void Events::add(Event event) {
    content_.with([&](Content& c) {
        event.number = ++c.last;
        c.events.push_back(std::move(event));
        if (c.events.size() > kept) c.events.pop_front();
    });
}

std::vector<Event> Events::since(uint64_t number) const {
    return content_.with([&](const Content& c) {
        std::vector<Event> out;
        for (const Event& event : c.events) {
            if (event.number > number) out.push_back(event);
        }
        return out;
    });
}

}  // namespace gorb::control
