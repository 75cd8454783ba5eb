// Whose fault is an errno of a connection? Trouble of this machine must not be held against the other side.
//
// Threads: any; pure.
#pragma once

namespace gorb::io {

// True for what this machine lacks or forbids: descriptors, memory, ports, addresses, devices, permissions, a
// route. The errno may have either sign. The SDK's our_trouble() says the same (a test compares).
//
// Of three errnos the moment decides, for our own routes refuse at once (connect(), or a datagram's send())
// what a router refuses later, by ICMP. The latter is the target's: it can not be reached, whoever is to
// blame, and that most targets fail at the same time is for health/ to suspect.
//
//                 at once, ours                  later, the target's
//   ENETUNREACH   no route to that network       "network unreachable", ICMPv6 "no route"
//   EACCES        a route of type "prohibit"     ICMPv6 "administratively prohibited"
//   EHOSTUNREACH  a route of type "unreachable"  "host unreachable", or nobody answers ARP or ND
bool our_trouble(int error);

// The same of what connect() itself gives: an EHOSTUNREACH then is a route of our own table.
bool our_trouble_at_once(int error);

// What a socket is told later, with an errno that our_trouble() knows for the target's: a router's refusal
// becomes EHOSTUNREACH. The sign stays.
int told_later(int error);

}  // namespace gorb::io
