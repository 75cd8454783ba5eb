#include "ipvs/netlink_channel.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

// Of <linux/socket.h>; libnl's own definitions end earlier.
#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

namespace gorb::ipvs {
namespace {

constexpr size_t datagram_bytes = 64 * 1024;  // the kernel builds dump parts of at most 32 KiB
constexpr int patience_ms = 5000;  // all answers are there when a send returns; this is for a defect

base::Error broken(std::string_view what, int os_error) {
    base::Error error;
    error.code = base::Errc::unavailable;
    error.os_error = os_error;
    error.sentence = "netlink: " + std::string(what) + ": " + std::strerror(os_error);
    return error;
}

// The text of the kernel's extended answer, which stands behind the header of the refused request.
std::string words_of(const nlmsghdr& header, const nlmsgerr& error) {
    if (!(header.nlmsg_flags & NLM_F_ACK_TLVS)) return {};
    size_t offset = sizeof(nlmsghdr) + sizeof(nlmsgerr);
    if (!(header.nlmsg_flags & NLM_F_CAPPED)) {
        if (error.msg.nlmsg_len < sizeof(nlmsghdr)) return {};
        offset += NLMSG_ALIGN(static_cast<size_t>(error.msg.nlmsg_len)) - sizeof(nlmsghdr);
    }
    if (offset > header.nlmsg_len) return {};
    const auto* head = reinterpret_cast<const nlattr*>(reinterpret_cast<const std::byte*>(&header) + offset);
    const nlattr* text = nla_find(head, static_cast<int>(header.nlmsg_len - offset), NLMSGERR_ATTR_MSG);
    if (!text) return {};
    const char* words = static_cast<const char*>(nla_data(text));
    return {words, strnlen(words, static_cast<size_t>(nla_len(text)))};
}

}  // namespace

struct NetlinkChannel::Progress {
    uint32_t first_seq = 0;
    size_t requests = 0;
    const OnData& on_data;
    bool quiet = false;  // only what was refused, and the last, is answered
    size_t unanswered = requests;
    Outcome outcome;
    bool part_has_data = false;  // of the datagram being read
};

const NetlinkChannel::Answer* NetlinkChannel::Outcome::answer_to(size_t request) const {
    const auto found = std::ranges::find(answers, request, &Answer::request);
    return found == answers.end() ? nullptr : &*found;
}

void NetlinkChannel::SocketFree::operator()(nl_sock* socket) const {
    nl_socket_free(socket);
}
NetlinkChannel::~NetlinkChannel() = default;

base::Result<std::unique_ptr<NetlinkChannel>> NetlinkChannel::open(int receive_buffer) {
    std::unique_ptr<NetlinkChannel> channel(new NetlinkChannel);
    channel->socket_.reset(nl_socket_alloc());
    if (!channel->socket_) return base::fail(broken("no socket", ENOMEM));
    nl_sock* socket = channel->socket_.get();
    if (const int failed = genl_connect(socket); failed < 0) {
        return base::fail(base::Errc::unavailable,
                          std::string("no generic netlink socket: ") + nl_geterror(failed), errno);
    }
    channel->port_ = nl_socket_get_local_port(socket);
    const int fd = nl_socket_get_fd(socket);
    // Beyond the system's limit with CAP_NET_ADMIN, up to it without.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    const int send_buffer = 1024 * 1024;
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer, sizeof send_buffer) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    }
    // Answers without a copy of the request, and with the kernel's words. A kernel that knows neither still
    // answers.
    const int on = 1;
    setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    channel->receive_buffer_.resize(datagram_bytes);
    return channel;
}

NlMsg NetlinkChannel::request(uint16_t family, uint8_t command, uint8_t version, int flags) {
    NlMsg msg(nlmsg_alloc_size(1024));
    if (!msg ||
        !genlmsg_put(msg.get(), NL_AUTO_PORT, 0, family, 0, flags | NLM_F_REQUEST, command, version)) {
        return nullptr;
    }
    return msg;
}

void NetlinkChannel::number(nlmsghdr& header) {
    header.nlmsg_seq = next_seq_++;
    header.nlmsg_pid = port_;
}

base::Result<NetlinkChannel::Outcome> NetlinkChannel::exchange(std::span<const NlMsg> requests,
                                                               const OnData& on_data) {
    Progress progress{next_seq_, requests.size(), on_data};
    send_buffer_.clear();
    for (const NlMsg& msg : requests) {
        if (!msg) return base::fail(broken("no message", ENOMEM));
        nlmsghdr* header = nlmsg_hdr(msg.get());
        number(*header);
        const auto* bytes = reinterpret_cast<const std::byte*>(header);
        send_buffer_.insert(send_buffer_.end(), bytes, bytes + header->nlmsg_len);
        send_buffer_.resize(NLMSG_ALIGN(send_buffer_.size()));
    }
    return exchange(send_buffer_, progress);
}

base::Result<NetlinkChannel::Outcome> NetlinkChannel::exchange_quietly(std::span<std::byte> messages,
                                                                       size_t count) {
    const OnData none;
    Progress progress{next_seq_, count, none, true};
    nlmsghdr* header = nullptr;
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
        header = reinterpret_cast<nlmsghdr*>(messages.data() + at);
        number(*header);
        at += NLMSG_ALIGN(header->nlmsg_len);
    }
    if (header) header->nlmsg_flags |= NLM_F_ACK;
    return exchange(messages, progress);
}

base::Result<NetlinkChannel::Outcome> NetlinkChannel::exchange(std::span<const std::byte> bytes,
                                                               Progress& progress) {
    if (progress.unanswered == 0) return std::move(progress.outcome);
    if (auto sent = send(bytes); !sent) return base::fail(sent.error());
    if (auto received = receive(progress); !received) return base::fail(received.error());
    if (progress.outcome.lost) progress.outcome.interrupted = true;
    return std::move(progress.outcome);
}

base::Status NetlinkChannel::send(std::span<const std::byte> bytes) {
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    const int fd = nl_socket_get_fd(socket_.get());
    for (int attempt = 0; attempt < 100; ++attempt) {
        const ssize_t sent = sendto(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL,
                                    reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
        if (sent >= 0) return {};
        if (errno != EINTR && errno != EAGAIN) return base::fail(broken("send", errno));
        pollfd ready{fd, POLLOUT, 0};
        poll(&ready, 1, 10);
    }
    return base::fail(broken("send", EAGAIN));
}

base::Status NetlinkChannel::receive(Progress& progress) {
    const int fd = nl_socket_get_fd(socket_.get());
    int interruptions = 0;
    int strangers = 0;
    while (progress.unanswered > 0) {
        sockaddr_nl sender{};
        iovec part{receive_buffer_.data(), receive_buffer_.size()};
        msghdr message{};
        message.msg_name = &sender;
        message.msg_namelen = sizeof sender;
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        const ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT);
        if (length >= 0) {
            if (sender.nl_pid != 0) {  // not from the kernel
                if (++strangers > 1000)
                    return base::fail(broken("other processes keep the socket busy", EBUSY));
                continue;
            }
            if (message.msg_flags & MSG_TRUNC) {
                progress.outcome.lost = true;
            } else {
                read_datagram(static_cast<size_t>(length), progress);
            }
            continue;
        }
        if (errno == ENOBUFS) {
            progress.outcome.lost = true;
        } else if (errno == EINTR) {
            if (++interruptions > 1000) return base::fail(broken("receive", EINTR));
        } else if (errno == EAGAIN) {
            if (progress.outcome.lost) return {};  // all that is left has been read
            pollfd ready{fd, POLLIN, 0};
            const int n = poll(&ready, 1, patience_ms);
            if (n == 0) return base::fail(broken("the kernel does not answer", ETIMEDOUT));
        } else {
            return base::fail(broken("receive", errno));
        }
    }
    return {};
}

void NetlinkChannel::read_datagram(size_t length, Progress& progress) {
    progress.part_has_data = false;
    int left = static_cast<int>(length);
    const auto* header = reinterpret_cast<const nlmsghdr*>(receive_buffer_.data());
    while (nlmsg_ok(header, left)) {
        read_message(*header, progress);
        header = nlmsg_next(const_cast<nlmsghdr*>(header), &left);
    }
    if (!progress.part_has_data) return;
    ++progress.outcome.data_parts;
    progress.outcome.largest_part = std::max(progress.outcome.largest_part, length);
}

void NetlinkChannel::read_message(const nlmsghdr& header, Progress& progress) {
    const size_t index = header.nlmsg_seq - progress.first_seq;  // wraps to a large number for older requests
    Outcome& outcome = progress.outcome;
    if (index >= progress.requests) return;
    if (header.nlmsg_flags & NLM_F_DUMP_INTR) outcome.interrupted = true;

    Answer answer;
    answer.request = index;
    const auto payload = static_cast<size_t>(nlmsg_datalen(&header));
    if (header.nlmsg_type == NLMSG_ERROR) {
        if (payload < sizeof(nlmsgerr)) return;
        const auto& error = *static_cast<const nlmsgerr*>(nlmsg_data(&header));
        answer.os_error = -error.error;
        answer.words = words_of(header, error);
    } else if (header.nlmsg_type == NLMSG_DONE) {
        int result = 0;
        if (payload >= sizeof result) std::memcpy(&result, nlmsg_data(&header), sizeof result);
        answer.os_error = result < 0 ? -result : 0;
    } else if (header.nlmsg_type == NLMSG_OVERRUN) {
        outcome.lost = true;
        return;
    } else if (header.nlmsg_type >= NLMSG_MIN_TYPE) {
        if (payload < GENL_HDRLEN || !progress.on_data) return;
        progress.part_has_data = true;
        const auto* attributes = static_cast<const std::byte*>(nlmsg_data(&header)) + GENL_HDRLEN;
        progress.on_data({attributes, payload - GENL_HDRLEN});
        return;
    } else {
        return;
    }
    if (outcome.answer_to(index)) return;
    outcome.answers.push_back(std::move(answer));
    --progress.unanswered;
    if (progress.quiet && index + 1 == progress.requests && !outcome.lost) progress.unanswered = 0;
}

base::Result<uint16_t> NetlinkChannel::family(const std::string& name) {
    uint16_t id = 0;
    std::vector<NlMsg> requests;
    requests.push_back(request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, NLM_F_ACK));
    if (!requests[0] || nla_put_string(requests[0].get(), CTRL_ATTR_FAMILY_NAME, name.c_str()) < 0) {
        return base::fail(broken("no message", ENOMEM));
    }
    auto outcome = exchange(requests, [&id](std::span<const std::byte> attributes) {
        const auto* head = reinterpret_cast<const nlattr*>(attributes.data());
        const nlattr* found = nla_find(head, static_cast<int>(attributes.size()), CTRL_ATTR_FAMILY_ID);
        if (found && nla_len(found) >= 2) id = nla_get_u16(found);
    });
    if (!outcome) return base::fail(outcome.error());
    const Answer* answer = outcome->answer_to(0);
    if (!answer) return base::fail(broken("the answer was lost", ENOBUFS));
    if (answer->os_error == ENOENT) {
        return base::fail(base::Errc::not_found, "no generic netlink family " + name, ENOENT);
    }
    if (answer->os_error != 0 || id == 0)
        return base::fail(broken("ask for family " + name, answer->os_error));
    return id;
}

}  // namespace gorb::ipvs
