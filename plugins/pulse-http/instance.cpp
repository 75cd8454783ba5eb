#include "instance.h"

#include <sys/resource.h>

#include <atomic>

namespace pulse_http {
namespace {

constexpr size_t most_readers = 256;  // what a loop has under way at an ordinary moment

std::atomic<uint64_t> kept_now{0};  // connections, of all instances in this process

uint64_t most_kept() {
    static const uint64_t most = [] {
        rlimit limit{};
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return uint64_t{512};
        return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : uint64_t{limit.rlim_cur} / 4 * 3;
    }();
    return most;
}

}  // namespace

Instance::Instance(const gorb::sdk::Host& host, const gorb::sdk::Config&)
    : host_(host), net_(host.net()), loop_(host.loop()) {
    readers_.reserve(most_readers);
}

Shared& Instance::take(const gorb::sdk::Target& target) {
    const gorb_addr source = target.source();
    std::string key = key_of(target.args());
    key += gorb::sdk::with_port(source) + "," + std::to_string(target.fwmark()) + ",";
    key += target.interface();
    auto found = shared_.find(key);
    if (found == shared_.end()) {
        Shared made{Settings::read(target.args()),   source, target.fwmark(),
                    std::string(target.interface()), {},     0};
        found = shared_.emplace(std::move(key), std::move(made)).first;
        found->second.key = found->first;
    }
    ++found->second.users;
    return found->second;
}

void Instance::give(Shared& shared) noexcept {
    if (--shared.users > 0) return;
    const auto found = shared_.find(shared.key);
    if (found != shared_.end()) shared_.erase(found);
}

std::unique_ptr<ReplyReader> Instance::take_reader() {
    if (readers_.empty()) return std::make_unique<ReplyReader>();
    auto reader = std::move(readers_.back());
    readers_.pop_back();
    return reader;
}

void Instance::give(std::unique_ptr<ReplyReader> reader) noexcept {
    if (!reader || readers_.size() >= most_readers) return;
    readers_.push_back(std::move(reader));
}

bool Instance::keep() noexcept {
    if (kept_now.fetch_add(1, std::memory_order_relaxed) < most_kept()) return true;
    kept_now.fetch_sub(1, std::memory_order_relaxed);
    return false;
}

void Instance::drop() noexcept {
    kept_now.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace pulse_http
