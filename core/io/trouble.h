// Whose fault is an errno of a connection? Trouble of this machine must not be held against the other side.
//
// Threads: any; pure.
#pragma once

namespace gorb::io {

// True for what this machine lacks or forbids: descriptors, memory, ports, addresses, devices, permissions, a
// route. The errno may have either sign. The SDK's our_trouble() says the same (a test compares).
//
//   ENETUNREACH   ours: our routing table, or a router that has lost its own, knows no way to that network.
//   That
//                 says nothing of the target, and it concerns all targets of the network at once.
//   EHOSTUNREACH  the target's: nobody answers for its address on its own link (a router says so by ICMP, or
//   our
//                 kernel after asking by ARP or ND). A host that is switched off looks like that. A route of
//                 type "unreachable" in our own table gives the same errno, but at once from connect(); Conn
//                 tells the two apart by that and refuses the latter as our own trouble.
bool our_trouble(int error);

// The same of what connect() itself gives: an EHOSTUNREACH then is a route of our own table.
bool our_trouble_at_once(int error);

}  // namespace gorb::io
