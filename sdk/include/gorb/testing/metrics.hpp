// The counters and gauges of a FakeHost (gorb.metrics/1).
//
// Part of gorb/testing.hpp. Threads: any.
#ifndef GORB_TESTING_METRICS_HPP
#define GORB_TESTING_METRICS_HPP
#include <cmath>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace gorb::testing {

class FakeMetrics {
  public:
    static bool good_name(const std::string& name) {
        return !name.empty() && name.size() <= 64 &&
               name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
    }
    // 0: there is one of that name and of the other kind.
    uint64_t id(const std::string& name, bool counter) {
        std::lock_guard<std::mutex> lock(mutex_);
        for (size_t i = 0; i < all_.size(); ++i)
            if (all_[i].name == name) return all_[i].counter == counter ? i + 1 : 0;
        all_.push_back({name, counter, 0});
        return all_.size();
    }
    // As gorbd: a counter only grows, and what is no finite number is ignored, as is what is no metric.
    void add(uint64_t id, double by) {
        std::lock_guard<std::mutex> lock(mutex_);
        Metric* metric = find(id);
        if (metric && std::isfinite(by) && (by >= 0 || !metric->counter)) metric->value += by;
    }
    void set(uint64_t id, double to) {
        std::lock_guard<std::mutex> lock(mutex_);
        Metric* metric = find(id);
        if (metric && std::isfinite(to) && !metric->counter) metric->value = to;
    }
    std::map<std::string, double> values() const {
        std::lock_guard<std::mutex> lock(mutex_);
        std::map<std::string, double> out;
        for (const Metric& metric : all_) out[metric.name] = metric.value;
        return out;
    }

  private:
    struct Metric {
        std::string name;
        bool counter;
        double value;
    };
    Metric* find(uint64_t id) { return id >= 1 && id <= all_.size() ? &all_[id - 1] : nullptr; }
    mutable std::mutex mutex_;
    std::vector<Metric> all_;
};

}  // namespace gorb::testing
#endif  // GORB_TESTING_METRICS_HPP
