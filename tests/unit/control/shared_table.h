// A table that outlives the control that works on it, as the kernel's does.
#pragma once
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ipvs/memory_driver.h"

namespace gorb::control {

// One of several drivers of a table.
class SharedTable : public ipvs::Driver {
  public:
    explicit SharedTable(ipvs::MemoryDriver& table) : table_(&table) {}
    base::Result<ipvs::Info> info() override { return table_->info(); }
    base::Result<std::vector<ipvs::ServiceRecord>> services() override { return table_->services(); }
    base::Result<std::optional<ipvs::ServiceRecord>> service(const ipvs::ServiceKey& key) override {
        return table_->service(key);
    }
    base::Result<std::vector<ipvs::DestRecord>> dests(const ipvs::ServiceKey& key) override {
        return table_->dests(key);
    }
    std::vector<base::Status> apply(std::span<const ipvs::Op> ops) override { return table_->apply(ops); }
    base::Status flush() override { return table_->flush(); }
    base::Result<std::vector<std::string>> probe_schedulers(
        std::span<const std::string_view> names) override {
        return table_->probe_schedulers(names);
    }

  private:
    ipvs::MemoryDriver* table_;
};

}  // namespace gorb::control
