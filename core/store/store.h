// Where the desired state is kept: in memory, as the newest Snapshot.
//
// Threads: snapshot() by any thread, commit() by one at a time (the control's turns).
#pragma once
#include "base/guarded.h"
#include "model/snapshot.h"

namespace gorb::store {

class Store {
  public:
    Store();
    model::SnapshotPtr snapshot() const;
    // `next` becomes the state; its revision must be higher than the present one's.
    model::SnapshotPtr commit(model::Snapshot next);

  private:
    base::Guarded<model::SnapshotPtr> now_;
};

}  // namespace gorb::store
