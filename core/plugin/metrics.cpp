#include "plugin/metrics.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <map>
#include <mutex>

namespace gorb::plugin {
namespace {

// A plugin that makes up a name for each target must not fill the memory.
constexpr size_t most_metrics = 4096;

bool good_metric_name(const std::string& name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
}

}  // namespace

struct Metrics::Impl {
    struct Cell {
        std::string name, help;
        bool counter;
        std::atomic<double> value{0};
    };

    uint64_t find_or_make(const std::string& plugin, const std::string& name, const std::string& help,
                          bool counter);
    Cell* cell(uint64_t metric) const {
        return metric == 0 || metric > most_metrics ? nullptr
                                                    : cells[metric - 1].load(std::memory_order_acquire);
    }

    mutable std::mutex mutex;
    std::map<std::string, uint64_t> ids;  // under mutex; sorted, as read() wants it
    // Written once each, under mutex; read by anybody: add() takes no lock.
    std::array<std::atomic<Cell*>, most_metrics> cells{};

    Impl() = default;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;
    ~Impl() {
        for (auto& cell : cells) delete cell.load();
    }
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

uint64_t Metrics::Impl::find_or_make(const std::string& plugin, const std::string& name,
                                     const std::string& help, bool counter) {
    if (!good_metric_name(name)) return 0;
    std::string full = "gorb_plugin_" + plugin + "_" + name;
    std::replace(full.begin(), full.end(), '-', '_');
    std::lock_guard lock(mutex);
    if (const auto it = ids.find(full); it != ids.end())
        return cell(it->second)->counter == counter ? it->second : 0;
    if (ids.size() == most_metrics) return 0;
    const uint64_t id = ids.size() + 1;
    ids.emplace(full, id);
    cells[id - 1].store(new Cell{full, help, counter}, std::memory_order_release);
    return id;
}

uint64_t Metrics::counter(const std::string& plugin, const std::string& name, const std::string& help) {
    return impl_->find_or_make(plugin, name, help, true);
}

uint64_t Metrics::gauge(const std::string& plugin, const std::string& name, const std::string& help) {
    return impl_->find_or_make(plugin, name, help, false);
}

void Metrics::add(uint64_t metric, double by) {
    Impl::Cell* cell = impl_->cell(metric);
    if (!cell || !std::isfinite(by) || (cell->counter && by < 0)) return;
    cell->value.fetch_add(by, std::memory_order_relaxed);
}

void Metrics::set(uint64_t metric, double to) {
    Impl::Cell* cell = impl_->cell(metric);
    if (!cell || !std::isfinite(to) || cell->counter) return;
    cell->value.store(to, std::memory_order_relaxed);
}

std::vector<Metric> Metrics::read() const {
    std::vector<Metric> all;
    std::lock_guard lock(impl_->mutex);
    for (const auto& [name, id] : impl_->ids) {
        const Impl::Cell* cell = impl_->cell(id);
        all.push_back({name, cell->help, cell->counter, cell->value.load(std::memory_order_relaxed)});
    }
    return all;
}

}  // namespace gorb::plugin
