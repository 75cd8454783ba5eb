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
    // By hand, because a list of many backends has two of these each, and snprintf was a fifth of its cost.
    std::string text = "0000-00-00T00:00:00.000Z";
    const auto put = [&text](size_t end, int64_t value) {
        for (; value > 0; value /= 10) text[--end] = static_cast<char>('0' + value % 10);
    };
    put(4, static_cast<int>(date.year()));  // nanoseconds in 64 bits end in the year 2262
    put(7, static_cast<unsigned>(date.month()));
    put(10, static_cast<unsigned>(date.day()));
    put(13, time.hours().count());
    put(16, time.minutes().count());
    put(19, time.seconds().count());
    put(23, time.subseconds().count());
    return text;
}

}  // namespace gorb::base
