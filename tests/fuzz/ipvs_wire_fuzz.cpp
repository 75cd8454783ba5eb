// Attributes as the kernel would send them, or anything else: reading never does more than refuse, and what
// was read is read again from what is written of it.
//
// Input: one byte that chooses (bit 0: destination, else service; bit 1: the service is IPv6), then the
// attributes.
#include <netlink/msg.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "ipvs/wire.h"

namespace {

using namespace gorb;

void require(bool condition) {
    if (!condition) abort();
}

template <class Put, class Read, class Record>
void again(const Record& record, Put put, Read read) {
    const ipvs::NlMsg msg(nlmsg_alloc_size(4096));
    require(msg && nlmsg_put(msg.get(), 0, 0, 16, 0, 0));
    require(put(msg.get(), record));
    const nlmsghdr* header = nlmsg_hdr(msg.get());
    const auto second = read(std::span(static_cast<const std::byte*>(nlmsg_data(header)),
                                       static_cast<size_t>(nlmsg_datalen(header))));
    require(second.has_value());
    require(second->same_settings(record));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0 || size > 64 * 1024) return 0;
    const uint8_t choice = data[0];
    // Netlink's buffers are aligned, and this one ends where the input ends, so that reading on is seen.
    std::vector<std::byte> bytes(size - 1);
    if (size > 1) std::memcpy(bytes.data(), data + 1, size - 1);
    const auto family = choice & 2 ? base::Ip::Family::v6 : base::Ip::Family::v4;
    if (choice & 1) {
        const auto read = [family](std::span<const std::byte> a) { return ipvs::read_dest(a, family); };
        if (const auto record = read(bytes)) again(*record, ipvs::put_dest, read);
    } else {
        if (const auto record = ipvs::read_service(bytes))
            again(*record, ipvs::put_service, ipvs::read_service);
    }
    (void)ipvs::read_info(bytes);
    return 0;
}
