#include "base/clock.h"

#include <ctime>

#include <chrono>
#include <cstdio>

namespace gorb::base {
namespace {

constexpr int64_t ns_per_s = 1'000'000'000;

int64_t read_clock(clockid_t id) {
    timespec t{};
    clock_gettime(id, &t);  // can not fail for the two clocks used here
    return static_cast<int64_t>(t.tv_sec) * ns_per_s + t.tv_nsec;
}

}  // namespace

uint64_t SystemClock::now() const {
    const auto ns = static_cast<uint64_t>(read_clock(CLOCK_MONOTONIC));
    return ns ? ns : 1;
}

int64_t SystemClock::wall() const {
    return read_clock(CLOCK_REALTIME);
}

std::string wall_text(int64_t wall_ns) {
    using namespace std::chrono;
    const sys_time<nanoseconds> at{nanoseconds(wall_ns)};
    const sys_days day = floor<days>(at);
    const year_month_day date{day};
    const hh_mm_ss<milliseconds> time{floor<milliseconds>(at - day)};
    char text[48];
    snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
             static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
             static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
             static_cast<int>(time.seconds().count()), static_cast<int>(time.subseconds().count()));
    return text;
}

}  // namespace gorb::base
