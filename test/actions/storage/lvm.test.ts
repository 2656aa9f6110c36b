import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { lvg } from "../../../src/actions/storage/lvg.ts";
import { lvol } from "../../../src/actions/storage/lvol.ts";
import { type Tools, withTools } from "../fake-tools.ts";
import { checkApplyAgain, makeSandbox, pass, type Sandbox } from "../harness.ts";

// The kernel of a machine that runs tests may have no device mapper; where it has one, the fleet tests use it.

let sandbox: Sandbox;
let tools: Tools;
const put = (name: string, text: string): void => writeFileSync(join(sandbox.root, name), text);

const MIB = 1024 * 1024;
/** A change puts in force what the test says is so afterwards. */
const DONE = "for f in vgs lvs pvs; do [ ! -e $ROOT/$f.after ] || cp $ROOT/$f.after $ROOT/$f; done";
const CHANGING = ["lvcreate", "lvextend", "lvreduce", "lvremove", "lvchange"];
const GROUPS = ["pvcreate", "vgcreate", "vgextend", "vgreduce", "vgremove", "vgchange", "pvchange"];

beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "dev"));
  for (const name of ["sdb", "sdc", "sdd"]) put(`dev/${name}`, "");
  symlinkSync("sdb", join(sandbox.root, "dev/by-name"));
  // 100 extents of 4 MiB, of which 60 are free.
  put("vgs", `  data;${400 * MIB};${240 * MIB};${4 * MIB};3\n`);
  put("pvs", "  /dev/sdb;data\n  /dev/sdd;other\n");
  put(
    "lvs",
    `  db;${80 * MIB};-wi-a-----;\n  off;${80 * MIB};-wi-------;\n  [pool_tdata];${MIB};Twi-ao----;\n  pool;${80 * MIB};twi-a-tz--;\n  thin;${40 * MIB};Vwi-a-tz--;\n`,
  );
  tools = withTools(sandbox, {
    ...Object.fromEntries([...CHANGING, ...GROUPS].map((name) => [name, DONE])),
    ...Object.fromEntries(["vgs", "lvs", "pvs"].map((name) => [name, `cat $ROOT/${name}`])),
  });
  return () => sandbox[Symbol.dispose]();
});

const host = (): Sandbox => ({ ...sandbox, system: tools.system });
const changes = (): readonly string[] => tools.calls().filter((call) => !/^(?:vgs|lvs|pvs) /.test(call));

describe("lvol", () => {
  type Params = Parameters<typeof lvol>[0];
  const run = (params: Params, check = false) => pass(lvol(params), tools.system, sandbox.context({ check }));

  it.each<[string, Params, string, string]>([
    [
      "makes a volume",
      { vg: "data", lv: "new", size: 512 },
      "lvcreate --yes -n new -L 512m data",
      "new;536870912;-wi-a-----;",
    ],
    [
      "makes one of a share, on a device, with options",
      { vg: "data", lv: "new", size: "50%free", pvs: ["/dev/sdb"], opts: "-r 16 --type linear" },
      "lvcreate --yes -r 16 --type linear -n new -l 50%FREE data /dev/sdb",
      `new;${120 * MIB};-wi-a-----;`,
    ],
    [
      "makes a snapshot",
      { vg: "data", lv: "db", snapshot: "snap", size: "1g" },
      "lvcreate --yes -s -n snap -L 1g data/db",
      "snap;1073741824;swi-a-s---;db",
    ],
    [
      "makes a snapshot of a thin volume",
      { vg: "data", lv: "thin", snapshot: "snap" },
      "lvcreate --yes -k n -s -n snap data/thin",
      "snap;1;Vwi-a-tz-k;thin",
    ],
    [
      "makes a thin pool",
      { vg: "data", thinpool: "p2", size: "10g" },
      "lvcreate --yes -L 10g --thinpool p2 data",
      "p2;10737418240;twi-a-tz--;",
    ],
    [
      "makes a thin volume",
      { vg: "data", lv: "t2", thinpool: "pool", size: "1t" },
      "lvcreate --yes -n t2 -V 1t --thin data/pool",
      "t2;1099511627776;Vwi-a-tz--;",
    ],
    [
      "extends to a size that is rounded up to extents",
      { vg: "data", lv: "db", size: "98m", resizefs: true },
      "lvextend --yes --resizefs -l 25 data/db",
      `db;${100 * MIB};-wi-a-----;`,
    ],
    [
      "extends to all that is free, its own included",
      { vg: "data", lv: "db", size: "100%FREE" },
      "lvextend --yes -l 80 data/db",
      `db;${320 * MIB};-wi-a-----;`,
    ],
    [
      "extends to a share of the group",
      { vg: "data", lv: "db", size: "30%VG" },
      "lvextend --yes -l 30 data/db",
      `db;${120 * MIB};-wi-a-----;`,
    ],
    [
      "shrinks by force",
      { vg: "data", lv: "db", size: "40", force: true },
      "lvreduce --force -l 10 data/db",
      `db;${40 * MIB};-wi-a-----;`,
    ],
    ["activates", { vg: "data", lv: "off" }, "lvchange -ay data/off", `off;${80 * MIB};-wi-a-----;`],
    [
      "deactivates",
      { vg: "data", lv: "db", active: false },
      "lvchange -an data/db",
      `db;${80 * MIB};-wi-------;`,
    ],
    [
      "removes by force",
      { vg: "data", lv: "db", state: "absent", force: true },
      "lvremove --force data/db",
      "",
    ],
  ])("%s", async (_what, params, call, after) => {
    put("lvs.after", `  ${after}\n`);
    // Of the free space, as much is left.
    const free = { "100%FREE": 0, "50%free": 120 }[String(params.size)] ?? 240;
    put("vgs.after", `  data;${400 * MIB};${free * MIB};${4 * MIB};3\n`);
    const { first } = await checkApplyAgain(host(), lvol(params));
    expect(changes()).toEqual([call]);
    const [name, size] = after.split(";");
    if (after !== "") expect(first.data).toEqual({ vg: "data", lv: name, size: Number(size) / MIB });
  });

  it.each<[string, Params]>([
    ["a volume as large as its extents", { vg: "data", lv: "db", size: "77m" }],
    ["a larger one that is not to shrink", { vg: "data", lv: "db", size: "8m", shrink: false }],
    ["what is absent", { vg: "data", lv: "none", state: "absent" }],
    ["a group that is absent", { vg: "none", lv: "none", state: "absent" }],
  ])("leaves %s", async (_what, params) => {
    expect((await run(params)).state).toBe("unchanged");
    expect(changes()).toEqual([]);
  });

  it.each<[Params, RegExp]>([
    [{ vg: "data", lv: "db", size: "8m" }, /no shrinking of db without force=true/],
    [{ vg: "data", lv: "db", size: "-1g", force: true }, /no shrinking of db to 0/],
    [{ vg: "data", lv: "db", size: "1t" }, /could not be extended: data has 240 MiB free/],
    [{ vg: "data", lv: "db", state: "absent" }, /no removal of logical volume db without force=true/],
    [{ vg: "data", lv: "new" }, /No size given/],
    [{ vg: "data", lv: "new", size: "+1g" }, /Bad size specification/],
    [{ vg: "none", lv: "new", size: "1g" }, /Volume group none does not exist/],
    [{ vg: "data", lv: "none", snapshot: "s", size: "1g" }, /Snapshot origin LV none does not exist/],
  ])("fails for %j", async (params, message) => {
    await expect(run(params)).rejects.toThrow(message);
    expect(changes()).toEqual([]);
  });

  it("cannot know in check mode what an earlier task makes", async () => {
    expect((await run({ vg: "none", lv: "new", size: "1g" }, true)).state).toBe("unknown");
  });

  it.each<[Params, RegExp]>([
    [{ vg: "data" }, /one of the following is required: lv, thinpool/],
    [{ vg: "data", thinpool: "p", snapshot: "s" }, /a snapshot needs lv/],
    [{ vg: "data", lv: "x", size: "big" }, /must be a size/],
  ])("refuses %j", (params, message) => expect(() => lvol(params)).toThrow(message));
});

describe("lvg", () => {
  type Params = Parameters<typeof lvg>[0];
  const run = (params: Params, check = false) => pass(lvg(params), tools.system, sandbox.context({ check }));

  it("makes a group of devices", async () => {
    put("vgs.after", `  new;1;1;${4 * MIB};0\n`);
    put("pvs.after", "  /dev/sdc;new\n");
    await checkApplyAgain(
      host(),
      lvg({ vg: "new", pvs: ["/dev/sdc"], pesize: "128K", vg_options: "--clustered n", pv_options: "-M2" }),
    );
    expect(changes()).toEqual(["pvcreate -M2 --yes /dev/sdc", "vgcreate --clustered n -s 128K new /dev/sdc"]);
  });

  it("changes the devices of a group", async () => {
    put("pvs.after", "  /dev/sdc;data\n");
    await checkApplyAgain(host(), lvg({ vg: "data", pvs: ["/dev/sdc"] }));
    expect(changes()).toEqual([
      "pvcreate --yes /dev/sdc",
      "vgextend data /dev/sdc",
      "vgreduce --force data /dev/sdb",
    ]);
  });

  it("leaves a group with its devices, a device's other name, and devices beside", async () => {
    for (const params of [{ pvs: ["/dev/by-name"] }, {}, { pvs: ["/dev/sdb"], active: undefined }])
      expect((await run({ vg: "data", ...params } as Params)).state).toBe("unchanged");
    put("pvs", "  /dev/sdb;data\n  /dev/sdc;data\n");
    expect((await run({ vg: "data", pvs: ["/dev/sdb"], remove_extra_pvs: false })).state).toBe("unchanged");
    expect(changes()).toEqual([]);
  });

  it("activates, and gives new UUIDs every time", async () => {
    put("lvs.after", `  off;${80 * MIB};-wi-a-----;\n`);
    await checkApplyAgain(host(), lvg({ vg: "data", active: true }));
    expect((await run({ vg: "data", reset_vg_uuid: true, reset_pv_uuid: true })).state).toBe("changed");
    expect(changes()).toEqual(["vgchange --activate y data", "vgchange -u data", "pvchange -u /dev/sdb"]);
  });

  it("removes a group that has volumes by force only", async () => {
    await expect(run({ vg: "data", state: "absent" })).rejects.toThrow(
      /non-empty volume group data without force/,
    );
    put("vgs.after", "");
    await checkApplyAgain(host(), lvg({ vg: "data", state: "absent", force: true }));
    expect(changes()).toEqual(["vgremove --force data"]);
  });

  it.each<[Params, RegExp]>([
    [{ vg: "new" }, /give pvs to make it/],
    [{ vg: "new", pvs: ["/dev/sdd"] }, /\/dev\/sdd is already in the volume group other/],
    [{ vg: "new", pvs: ["/dev/none"] }, /Device \/dev\/none not found/],
  ])("fails for %j", async (params, message) => {
    await expect(run(params)).rejects.toThrow(message);
  });

  it("says which package has the programs", async () => {
    const { system } = withTools(sandbox, { vgs: null });
    await expect(pass(lvg({ vg: "x" }), system, sandbox.context())).rejects.toThrow(/package lvm2/);
  });
});
