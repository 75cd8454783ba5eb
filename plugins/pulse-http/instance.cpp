#include "instance.h"

namespace pulse_http {
namespace {

constexpr size_t most_readers = 256;  // what a loop has under way at an ordinary moment

pulse_kept::Places places(4);

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
    return places.take();
}

void Instance::drop() noexcept {
    places.give();
}

}  // namespace pulse_http
