// What makes another build of gorbd: it says that it is the next version. Linked before the archive that has
// the real one.
#include "app/installation.h"

namespace gorb::app {

std::string version() {
    return GORB_VERSION;
}

}  // namespace gorb::app
