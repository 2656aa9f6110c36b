import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { parted } from "../../../src/actions/storage/parted.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

// What parted does is tested on the fleet; these are the commands that it gets.

let sandbox: Sandbox;
let tools: Tools;

const GPT = "/dev/sdb:65536kiB:scsi:512:4096:gpt:ATA Disk\\: big:;\n";
const FIRST = "1:1024kiB:10240kiB:9216kiB:ext4:data:boot, esp;\n";

/** Prints the table in a file, in bytes too; a change puts the next table in its place. */
const PARTED = `case "$*" in
*" unit B print") sed 's/\\([0-9]*\\)kiB/echo $((\\1*1024))B/g; s/echo \\$((\\([0-9]*\\)\\*1024))B/B\\1/g' $ROOT/table | awk '{ while (match($0, /B[0-9]+/)) $0 = substr($0, 1, RSTART-1) (substr($0, RSTART+1, RLENGTH-1) * 1024) "b" substr($0, RSTART+RLENGTH); gsub(/b/, "B"); print }';;
*print) cat $ROOT/table;;
*) cp $ROOT/next $ROOT/table;;
esac`;

const table = (file: string, ...lines: readonly string[]): void =>
  writeFileSync(join(sandbox.root, file), `BYT;\n${lines.join("")}`);

beforeEach(() => {
  sandbox = makeSandbox();
  writeFileSync(join(sandbox.root, "disk"), "");
  tools = withTools(sandbox, { parted: PARTED });
  table("table", GPT, FIRST);
  table("next", GPT, FIRST);
  return () => sandbox[Symbol.dispose]();
});

type Params = Parameters<typeof parted>[0];
const host = (): Sandbox => ({ ...sandbox, system: tools.system });
const run = (params: Params, check = false) => pass(parted(params), tools.system, sandbox.context({ check }));
const changes = (): readonly string[] =>
  tools
    .calls()
    .filter((call) => !call.endsWith(" print"))
    .map((call) => call.replace("parted -s -m ", ""));
const FIRST_PART = { device: "/disk", number: 1, state: "present", label: "gpt" } as const;

describe("parted", () => {
  it("tells what there is", async () => {
    for (const check of [true, false]) {
      expect((await run({ device: "/disk" }, check)).data).toEqual({
        disk: {
          ...{ dev: "/disk", size: 65536, unit: "kib", table: "gpt", model: "ATA Disk: big" },
          ...{ logical_block: 512, physical_block: 4096 },
        },
        partitions: [
          {
            ...{ num: 1, begin: 1024, end: 10240, size: 9216, fstype: "ext4", name: "data" },
            ...{ flags: ["boot", "esp"], unit: "kib" },
          },
        ],
        script: "",
      });
    }
  });

  it("makes a table and a partition", async () => {
    table("table", GPT.replace("gpt", "unknown"));
    table("next", GPT, "1:1024kiB:10240kiB:9216kiB::my data:lvm;\n");
    const { first } = await checkApplyAgain(
      host(),
      parted({
        ...FIRST_PART,
        name: "my data",
        flags: ["lvm"],
        fs_type: "ext4",
        part_start: "1MiB",
        part_end: "10MiB",
      }),
    );
    expect(changes()).toEqual([
      "-a optimal /disk -- mklabel gpt",
      '-a optimal /disk -- mkpart "my data" ext4 1MiB 10MiB',
      '-a optimal /disk -- name 1 "my data"',
      "-a optimal /disk -- set 1 lvm on",
    ]);
    expect(first.data?.partitions).toHaveLength(1);
    expect(first.data?.script).toContain("mklabel gpt mkpart");
  });

  it("gives the type of a partition in an msdos table", async () => {
    table("table", GPT.replace("gpt", "msdos"));
    table("next", GPT.replace("gpt", "msdos"), "5:1024kiB:10240kiB:9216kiB:::;\n");
    await checkApplyAgain(
      host(),
      parted({ device: "/disk", number: 5, state: "present", part_type: "logical", align: "undefined" }),
    );
    expect(changes()).toEqual(["/disk -- mkpart logical 0% 100%"]);
  });

  it("changes flags and name, and knows flags that come with others", async () => {
    expect((await run({ ...FIRST_PART, flags: ["esp"] })).state).toBe("unchanged");
    table("next", GPT, "1:1024kiB:10240kiB:9216kiB:ext4:new:lvm;\n");
    await checkApplyAgain(host(), parted({ ...FIRST_PART, flags: ["lvm"], name: "new" }));
    expect(changes()).toEqual([
      "-a optimal /disk -- name 1 new",
      "-a optimal /disk -- set 1 lvm on",
      "-a optimal /disk -- set 1 boot off",
      "-a optimal /disk -- set 1 esp off",
    ]);
  });

  it("resizes when asked, and only then", async () => {
    expect((await run({ ...FIRST_PART, part_end: "100%" })).state).toBe("unchanged");
    expect((await run({ ...FIRST_PART, part_end: "10MiB", resize: true })).state).toBe("unchanged");
    table("next", GPT, FIRST.replace("10240kiB:9216kiB", "65519kiB:64495kiB"));
    await checkApplyAgain(host(), parted({ ...FIRST_PART, part_end: "100%", resize: true }));
    expect(changes()).toEqual(["-a optimal /disk -- resizepart 1 100%"]);
  });

  it("removes a partition", async () => {
    table("next", GPT);
    await checkApplyAgain(host(), parted({ device: "/disk", number: 1, state: "absent" }));
    expect(changes()).toEqual(["-a optimal /disk -- rm 1"]);
  });

  it("fails without a device, the program or an answer", async () => {
    await expect(run({ device: "/none" })).rejects.toThrow("there is no device /none");
    expect((await run({ device: "/none" }, true)).state).toBe("unknown");
    const none = withTools(sandbox, { parted: null }).system;
    await expect(pass(parted({ device: "/disk" }), none, sandbox.context())).rejects.toThrow(
      /package parted/,
    );
    const bad = withTools(sandbox, { parted: "echo 'Error: Could not stat device' >&2; exit 1" }).system;
    await expect(pass(parted({ device: "/disk" }), bad, sandbox.context())).rejects.toThrow(
      /Could not stat device/,
    );
  });

  it.each<[Params, RegExp]>([
    [{ device: "/x", state: "present" }, /missing: number/],
    [{ device: "/x", number: 1, part_end: "rm 1" }, /must be a place/],
    [{ device: "/x", number: 1, name: 'a" rm 1' }, /without quotes/],
  ])("refuses %j", (params, message) => expect(() => parted(params)).toThrow(message));
});
