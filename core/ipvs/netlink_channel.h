// A generic netlink socket on which several requests travel in one send, each with its own answer.
//
// The kernel handles a send within the system call: when it returns, all answers wait in the socket. Answers
// belong to their requests by sequence number, so what an abandoned exchange left behind harms no later one.
//
// Threads: one at a time. The socket belongs to the network namespace of the thread that opened it, for ever.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "ipvs/wire.h"

struct nl_sock;
struct nlmsghdr;

namespace gorb::ipvs {

class NetlinkChannel {
  public:
    // The kernel's answer to one request.
    struct Answer {
        size_t request = 0;  // which of the send
        int os_error = 0;
        std::string words;  // NLMSGERR_ATTR_MSG, "" for none
    };

    // What came back of one send.
    struct Outcome {
        std::vector<Answer> answers;  // those there are
        bool lost = false;            // the kernel threw answers away: silence means nothing
        bool interrupted = false;     // NLM_F_DUMP_INTR, or a part of a dump was lost
        int data_parts = 0;       // how many datagrams held data; a part of a dump is consistent in itself
        size_t largest_part = 0;  // bytes of the largest of them

        const Answer* answer_to(size_t request) const;  // nullptr: there is none
    };

    // The attributes that follow the generic netlink header of a data message.
    using OnData = std::function<void(std::span<const std::byte> attributes)>;

    // `receive_buffer` in bytes, for the answers of one send.
    static base::Result<std::unique_ptr<NetlinkChannel>> open(int receive_buffer);

    NetlinkChannel(const NetlinkChannel&) = delete;
    NetlinkChannel& operator=(const NetlinkChannel&) = delete;
    ~NetlinkChannel();

    // A request without attributes, its sequence number set by exchange(). nullptr only without memory.
    static NlMsg request(uint16_t family, uint8_t command, uint8_t version, int flags);

    // Sends all requests at once and waits for the answer to each: NLMSG_ERROR (also as ACK) or NLMSG_DONE.
    // Errc::unavailable when the socket does not work; a lost answer is not an error but missing.
    base::Result<Outcome> exchange(std::span<const NlMsg> requests, const OnData& on_data = {});

    // The same for `count` whole messages, one behind the other, each aligned. Only the last is made to ask
    // for an acknowledgement (NLM_F_ACK): the kernel handles them in order and answers what it refuses in any
    // case, so what is not answered was done, unless Outcome::lost. Writes into their headers.
    base::Result<Outcome> exchange_quietly(std::span<std::byte> messages, size_t count);

    // The number of a generic netlink family. Errc::not_found if the kernel has none of that name.
    base::Result<uint16_t> family(const std::string& name);

  private:
    struct SocketFree {
        void operator()(nl_sock* socket) const;
    };
    struct Progress;

    NetlinkChannel() = default;
    base::Result<Outcome> exchange(std::span<const std::byte> bytes, Progress& progress);
    void number(nlmsghdr& header);
    base::Status send(std::span<const std::byte> bytes);
    base::Status receive(Progress& progress);
    void read_datagram(size_t length, Progress& progress);
    void read_message(const nlmsghdr& header, Progress& progress);

    std::unique_ptr<nl_sock, SocketFree> socket_;
    uint32_t port_ = 0;  // of the socket
    std::vector<std::byte> send_buffer_;
    std::vector<std::byte> receive_buffer_;
    uint32_t next_seq_ = 1;
};

}  // namespace gorb::ipvs
