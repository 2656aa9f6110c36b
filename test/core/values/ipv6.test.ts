import { expect, it } from "vitest";
import { groupsOfIPv6 } from "../../../src/core/values/ipv6.ts";

it.each<[string, readonly number[]]>([
  ["::", [0, 0, 0, 0, 0, 0, 0, 0]],
  ["::1", [0, 0, 0, 0, 0, 0, 0, 1]],
  ["2001:db8::", [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]],
  ["1:2:3:4:5:6:7:FFFF", [1, 2, 3, 4, 5, 6, 7, 0xffff]],
  ["1:2:3:4:5:6:7::", [1, 2, 3, 4, 5, 6, 7, 0]],
  ["fe80::1%eth0", [0xfe80, 0, 0, 0, 0, 0, 0, 1]],
  ["::ffff:10.0.0.1", [0, 0, 0, 0, 0, 0xffff, 0xa00, 1]],
  ["1:2:3:4:5:6:192.0.2.255", [1, 2, 3, 4, 5, 6, 0xc000, 0x2ff]],
])("%s", (address, groups) => {
  expect(groupsOfIPv6(address)).toEqual(groups);
});
