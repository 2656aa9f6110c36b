import { isIPv6 } from "node:net";

/** Whether text is an IPv6 address without brackets. */
export function isIpv6(text: string): boolean {
  // Node's own check is a long regex, and host names by the thousand come by here.
  return text.includes(":") && isIPv6(text);
}
