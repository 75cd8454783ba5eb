// Operations as netlink messages, as fast as they can be made: libnl writes the first message of each shape,
// and every further one is a copy of it with other values at the same places.
//
// Threads: one at a time.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ipvs/driver.h"

namespace gorb::ipvs {

class Forms {
  public:
    // Messages to the generic netlink family of this number.
    explicit Forms(uint16_t family) : family_(family) {}

    // Appends the whole message: headers without sequence number, port and NLM_F_ACK, and what put_op()
    // (wire.h) writes, byte for byte. The length of `out` is a multiple of NLMSG_ALIGNTO before and after.
    // False, with nothing appended, only without memory.
    bool append(std::vector<std::byte>& out, const Op& op);

  private:
    // Offsets of values in the message; 0: this shape has no such value.
    struct Form {
        std::vector<std::byte> bytes;  // empty: not made yet
        uint16_t family = 0, fwmark = 0, protocol = 0, vip = 0, port = 0;
        uint16_t address = 0, address_port = 0, address_family = 0;
        uint16_t forwarding = 0, weight = 0, upper_threshold = 0, lower_threshold = 0;
        uint16_t tunnel_type = 0, tunnel_port = 0, tunnel_flags = 0;
    };

    bool make(const Op& op, std::vector<std::byte>& bytes) const;
    const Form* form(const Op& op);

    uint16_t family_;
    std::array<Form, 12> forms_;  // of destinations; services are few and differ in length
};

}  // namespace gorb::ipvs
