// Counters and gauges of plugins (gorb.metrics/1): gorb_plugin_<plugin>_<name>, summed over a plugin's
// instances. Threads: any.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace gorb::plugin {

struct Metric {
    std::string name, help;
    bool counter = true;
    double value = 0;
};

class Metrics {
  public:
    Metrics();
    ~Metrics();
    // The same name again gives the same metric. 0 when the name is not [a-z0-9_]{1,64}, is of the other
    // kind, or there are 4,096 metrics already.
    uint64_t counter(const std::string& plugin, const std::string& name, const std::string& help);
    uint64_t gauge(const std::string& plugin, const std::string& name, const std::string& help);
    // 0 and numbers of no metric are ignored, as are values that are not finite. A counter only grows: add()
    // with a negative value and set() leave it as it is.
    void add(uint64_t metric, double by);
    void set(uint64_t metric, double to);
    std::vector<Metric> read() const;  // sorted by name

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::plugin
