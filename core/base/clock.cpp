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

WallText::WallText(int64_t wall_ns) {
    using namespace std::chrono;
    const sys_time<nanoseconds> at{nanoseconds(wall_ns)};
    const sys_days day = floor<days>(at);
    const year_month_day date{day};
    const hh_mm_ss<milliseconds> time{floor<milliseconds>(at - day)};
    // By hand, because a list of many backends has two of these each, and snprintf was a fifth of its cost.
    const auto put = [this](size_t begin, unsigned two_digits) {
        chars_[begin] = static_cast<char>('0' + two_digits / 10);
        chars_[begin + 1] = static_cast<char>('0' + two_digits % 10);
    };
    const auto number = [](auto count) { return static_cast<unsigned>(count); };
    const unsigned year = number(static_cast<int>(date.year()));  // 64 bits of ns end in the year 2262
    put(0, year / 100);
    put(2, year % 100);
    put(5, number(date.month()));
    put(8, number(date.day()));
    put(11, number(time.hours().count()));
    put(14, number(time.minutes().count()));
    put(17, number(time.seconds().count()));
    const unsigned ms = number(time.subseconds().count());
    put(20, ms / 10);
    chars_[22] = static_cast<char>('0' + ms % 10);
}

std::string wall_text(int64_t wall_ns) {
    return std::string(std::string_view(WallText(wall_ns)));
}

}  // namespace gorb::base
