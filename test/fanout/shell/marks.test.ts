import { describe, expect, it } from "vitest";
import { nameInTitle } from "../../../src/fanout/shell/pane.ts";
import { differingHosts, LAG_MS, laggingHosts } from "../../../src/fanout/shell/shell-state.ts";

const screen = (host: string, ...lines: readonly string[]) => ({ host, aliases: [], lines });
const pace = (host: string, inputAt: number | undefined, outputAt: number | undefined, pendingBytes = 0) => ({
  host,
  inputAt,
  outputAt,
  pendingBytes,
});

describe("differingHosts", () => {
  it("names those whose screen is not that of most", () => {
    const samples = [screen("a1x", "ok"), screen("a2x", "ok"), screen("a3x", "failed")];
    expect(differingHosts(samples)).toEqual(new Set(["a3x"]));
  });

  it("does not count a host's own name, whole or short, nor what its title calls it", () => {
    const samples = [
      screen("web1.example.org", "deploy@web1:~$ ls"),
      screen("web22.example.org", "deploy@web22:~$ ls", "", ""),
      { host: "10.0.0.9", aliases: ["ip-10-0-0-9"], lines: ["deploy@ip-10-0-0-9:~$ ls"] },
    ];
    expect(differingHosts(samples)).toEqual(new Set());
    expect(differingHosts([...samples, screen("web3.example.org", "deploy@web1:~$ ls")])).toEqual(
      new Set(["web3.example.org"]),
    );
  });

  it("does not count names that all of them show", () => {
    const samples = ["web1", "web2", "web3"].map((host) =>
      screen(host, `${host}:~$ ping web3`, "web3 is up"),
    );
    expect(differingHosts(samples)).toEqual(new Set());
  });

  it("names nobody where there is no majority, as with top", () => {
    expect(differingHosts([screen("a", "1"), screen("b", "2"), screen("c", "3")])).toEqual(new Set());
    expect(differingHosts([screen("a", "1"), screen("b", "2")])).toEqual(new Set());
  });
});

describe("laggingHosts", () => {
  it("names who has not answered while most others have", () => {
    const samples = [pace("a", 100, 150), pace("b", 100, 150), pace("c", 100, 50)];
    expect(laggingHosts(samples, 100 + LAG_MS)).toEqual(new Set(["c"]));
    expect(laggingHosts(samples, 99 + LAG_MS)).toEqual(new Set());
  });

  it("names nobody while nobody answers, as at a password prompt", () => {
    expect(laggingHosts([pace("a", 100, 50), pace("b", 100, undefined)], 5_000)).toEqual(new Set());
  });

  it("names who does not take in what is typed, alone or not", () => {
    expect(laggingHosts([pace("a", 100, 150, 10)], 5_000)).toEqual(new Set(["a"]));
  });

  it("leaves alone those that nothing was typed to", () => {
    expect(laggingHosts([pace("a", 100, 150), pace("b", undefined, 20)], 5_000)).toEqual(new Set());
  });
});

describe("nameInTitle", () => {
  it("finds the host in what shells write there", () => {
    expect(nameInTitle("deploy@web-1.lan: /etc")).toBe("web-1.lan");
    expect(nameInTitle("vim")).toBeUndefined();
  });
});
