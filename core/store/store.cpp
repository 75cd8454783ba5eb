#include "store/store.h"

#include "base/check.h"

namespace gorb::store {

Store::Store() : now_(std::make_shared<const model::Snapshot>()) {}

model::SnapshotPtr Store::snapshot() const {
    return now_.with([](const model::SnapshotPtr& now) { return now; });
}

model::SnapshotPtr Store::commit(model::Snapshot next) {
    auto ptr = std::make_shared<const model::Snapshot>(std::move(next));
    // The old state is let go outside the lock: it may be the last reference to much.
    model::SnapshotPtr old = ptr;
    now_.with([&](model::SnapshotPtr& now) {
        GORB_CHECK(ptr->revision > now->revision);
        now.swap(old);
    });
    return ptr;
}

}  // namespace gorb::store
