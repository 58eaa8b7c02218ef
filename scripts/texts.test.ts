import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";

import ts from "typescript";

import { pageTable } from "./page-texts.ts";

const UI = new URL("../extension/ui/", import.meta.url);
const files = (of: URL, ending: RegExp): string[] =>
  readdirSync(of, { recursive: true, encoding: "utf8" }).filter(
    (file) => ending.test(file) && !file.endsWith(".test.ts"),
  );
const SCRIPT = /\.tsx?$/;
const read = (file: string, of: URL): string => readFileSync(new URL(file, of), "utf8");

/** What is set as text, or read out. */
const SHOWN =
  /^(?:text|title|placeholder|alt|aria-(?:label|description|valuetext|roledescription))$/;
const SET = /^(?:textContent|innerText|innerHTML|title|placeholder|alt|ariaLabel)$/;
/** Calls whose texts no person reads. */
const UNREAD = /^(?:focusOn|querySelector|querySelectorAll|closest|matches|getPropertyValue)$/;
/** A sentence of a script or a module, as against names, patterns and code. */
const SENTENCE = /^\p{Lu}.*\p{L} \p{L}.*[.?]$/su;

/** It may also begin with what somebody wrote. */
const SAID_IN_PAGES = /^[“\p{Lu}].*\p{L} \p{L}.*[.?]$/su;

/** Attributes that no person reads. */
const UNSEEN = /^(?:class|role|style|href|src|data-\w+|aria-(?:describedby|labelledby))$/;

/** Literals of a source that a person would read. */
function readable(source: string, name = "a.ts"): string[] {
  const tree = ts.createSourceFile(name, source, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isThrowStatement(node) || ts.isTypeNode(node)) return;
    if (ts.isPropertyAssignment(node) && /^(?:class|role)$/.test(node.name.getText())) return;
    if (ts.isJsxAttribute(node) && UNSEEN.test(node.name.getText())) return;
    if (ts.isJsxText(node) && /\p{L}/u.test(node.text)) found.push(node.text);
    if (ts.isCallExpression(node) && UNREAD.test(calledName(node))) return;
    if ((ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) && !isClass(node)) {
      const literal = ts.isTemplateExpression(node)
        ? [node.head, ...node.templateSpans.map(({ literal }) => literal)]
            .map(({ text }) => text)
            .join("\u0000")
        : node.text;
      const isSentence = /\p{L}+[.,:;!?…”]? \p{L}+/u.test(literal);
      if (isSentence || (isShown(node) && /\p{L}/u.test(literal))) found.push(literal);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

function calledName({ expression }: ts.CallExpression): string {
  if (ts.isIdentifier(expression)) return expression.text;
  return ts.isPropertyAccessExpression(expression) ? expression.name.text : "";
}

function isClass({ parent }: ts.Node): boolean {
  return (
    ts.isBinaryExpression(parent) &&
    ts.isPropertyAccessExpression(parent.left) &&
    parent.left.name.text === "className"
  );
}

/** Also where it is one of two, as in `a ? "this" : "that"`. */
function isShown(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isConditionalExpression(parent) || ts.isParenthesizedExpression(parent)) {
    return isShown(parent);
  }
  if (ts.isJsxExpression(parent)) {
    return !ts.isJsxAttribute(parent.parent) || isShown(parent);
  }
  if (ts.isJsxAttribute(parent)) return SHOWN.test(parent.name.getText());
  if (ts.isPropertyAssignment(parent)) {
    return parent.initializer === node && SHOWN.test(parent.name.getText().replace(/["']/g, ""));
  }
  if (ts.isBinaryExpression(parent) && ts.isPropertyAccessExpression(parent.left)) {
    return parent.right === node && SET.test(parent.left.name.text);
  }
  if (!ts.isCallExpression(parent)) return false;
  const called = parent.expression.getText();
  const [first, second] = parent.arguments;
  return (
    (called === "button" && first === node) ||
    (called.endsWith("createTextNode") && first === node) ||
    (called.endsWith("setAttribute") &&
      second === node &&
      first !== undefined &&
      SHOWN.test(first.getText().replace(/["']/g, "")))
  );
}

describe("texts of the pages", () => {
  test("would be found in code", () => {
    for (const source of [
      'element("p", { text: "Nothing" })',
      'element("p", { "aria-label": a ? "Close" : "" })',
      'button("Save", "quiet", save)',
      'part("title").textContent = `Hello`',
      'one.setAttribute("aria-label", "Close")',
      'const SENTENCE = "Reload the page.";',
      "say(`${count} rooms left over`)",
    ]) {
      assert.equal(readable(source).length, 1, source);
    }
    for (const source of [
      "<p>Nothing</p>",
      '<p>{"Nothing"}</p>',
      '<p>{a ? "Nothing" : text("b")}</p>',
      '<input placeholder="Nothing" />',
      '<p title={a ? "Nothing" : ""} />',
      '<p aria-label="Close" class="a b">{text("close")}</p>',
    ]) {
      assert.equal(readable(source, "a.tsx").length, 1, source);
    }
    for (const source of [
      '<p class="a b" role="status" id="c">{text("nothing")}</p>',
      '<p class={a ? "shield brief" : "shield"}>{a}</p>',
      '<img src="a.png" alt="" width="2" onClick={() => choose("a")} />',
    ]) {
      assert.deepEqual(readable(source, "a.tsx"), [], source);
    }
    for (const source of [
      'element("p", { class: "hint", text: text("nothing") })',
      'element("p", { class: a ? "shield brief" : "shield" })',
      'card.className = "card bad"',
      'all.querySelector("a [hidden] b c")',
      'throw new Error("There is no such thing.")',
      'one.setAttribute("aria-hidden", "true")',
    ]) {
      assert.deepEqual(readable(source), [], source);
    }
  });

  test("stand in no script, and in no page but for the product's name", () => {
    for (const file of files(UI, SCRIPT)) {
      assert.deepEqual(readable(read(file, UI), file), [], file);
    }
    for (const file of files(UI, /\.html$/)) {
      const page = read(file, UI);
      const left = page.replace(/<[^>]*>/g, " ").match(/\p{L}+/gu) ?? [];
      assert.deepEqual(
        left.filter((word) => word !== "Mantle"),
        [],
        file,
      );
      assert.doesNotMatch(page, /(?:title|aria-label|placeholder|alt)="[^"]/, file);
    }
  });

  test("are all used", () => {
    const extension = new URL("../", UI);
    const code = ["ui", "browser", "background", "relay"]
      .flatMap((folder) =>
        files(new URL(`${folder}/`, extension), SCRIPT).map((file) => `${folder}/${file}`),
      )
      .map((file) => read(file, extension))
      .join("\n");
    const literals = new Set([...code.matchAll(/"(\w+)"/g)].map(([, word = ""]) => word));
    const patterns = [...code.matchAll(/text\(`(\w*)\$\{[\w.]+\}(\w*)`/g)].map(
      ([, before = "", after = ""]) => new RegExp(`^${before}\\w+${after}$`),
    );
    const texts = JSON.parse(read("_locales/en/messages.json", extension)) as object;
    const manifest = read("../manifest.json", extension);
    const unused = Object.keys(texts).filter((name) => {
      const stem = name.replace(/_(?:one|other)$/, "");
      return (
        !literals.has(name) &&
        !literals.has(stem) &&
        !patterns.some((pattern) => pattern.test(name)) &&
        // Of the Rust module; see below.
        !name.startsWith("said_") &&
        !manifest.includes(`__MSG_${name}__`)
      );
    });
    assert.deepEqual(unused, []);
  });
});

/** A text that a button, a title or an element of a dialog is given, or that is read out. */
const SHOWN_IN_PAGE =
  /(?:\b(?:label|title): |\bsetText\([^,()]+, |\btextElement\([^,()]+, |"aria-label", )["`]\p{L}/u;

describe("texts of Element's page", () => {
  const EXTENSION = new URL("../", UI);
  const PAGE = new URL("page/", EXTENSION);
  const sentences = pageTable("sentences");
  const values = new Set(Object.values(sentences));

  /** Sentences of the browser itself, which its own errors have and Mantle's must not differ from. */
  const ofBrowsers =
    /^(?:XMLHttpRequest\.|Failed to |NetworkError |The operation was aborted|A network error|User denied)/;

  /** Every literal, whether it is thrown, shown or kept in a constant. */
  function literals(source: string): string[] {
    const tree = ts.createSourceFile("a.ts", source, ts.ScriptTarget.Latest, true);
    const found: string[] = [];
    const visit = (node: ts.Node): void => {
      if (ts.isBinaryExpression(node) && isText(node)) {
        found.push(joined(node));
        return;
      }
      if (ts.isStringLiteralLike(node)) found.push(node.text);
      if (ts.isTemplateExpression(node)) {
        found.push(
          node.head.text + node.templateSpans.map(({ literal }) => `x${literal.text}`).join(""),
        );
      }
      ts.forEachChild(node, visit);
    };
    const isText = (node: ts.Node): boolean =>
      ts.isStringLiteralLike(node) ||
      (ts.isBinaryExpression(node) &&
        node.operatorToken.kind === ts.SyntaxKind.PlusToken &&
        isText(node.left) &&
        isText(node.right));
    const joined = (node: ts.Node): string =>
      ts.isBinaryExpression(node)
        ? joined(node.left) + joined(node.right)
        : (node as ts.StringLiteral).text;
    visit(tree);
    return found;
  }

  /** What a Rust file says outside its tests and its documentation, with `$1`, `$2` for what is put in. */
  function saidByRust(source: string): string[] {
    const code = source
      .replace(/\n#\[cfg\(test\)\]\s*mod [^]*$/, "")
      .replace(/^\s*\/\/.*$/gm, "")
      .replace(/b?'(?:\\.|[^'\\])'/g, "''")
      .replace(/\bb?r(#*)"[^]*?"\1/g, '""')
      // Generated in English, and of the extension's own pages.
      .replace(/documented\(\s*"(?:[^"\\]|\\[^])*"/g, "");
    return [...code.matchAll(/"((?:[^"\\]|\\[^])*)"/g)].map(([, text = ""]) => {
      let hole = 0;
      return text
        .replace(/\\\n\s*/g, "")
        .replace(/\\"/g, '"')
        .replace(/\{[^{}]*\}/g, () => `$${(hole += 1)}`);
    });
  }

  test("would be found in code", () => {
    const source =
      'a("You chose this."); const b = "Mantle could " + "not do it."; c(`Room ${n} of it.`);';
    for (const shown of [
      '{ label: "Send" }',
      'setText(tab, "Open")',
      'set(a, "aria-label", `Close`)',
    ]) {
      assert.match(shown, SHOWN_IN_PAGE);
    }
    assert.equal(literals(source).filter((one) => SENTENCE.test(one)).length, 3);
    const rust =
      'const A: &str = "Mantle did \\\n    not \\"send\\" this.";\n// "No. One of it."\nformat!("It is {x} of {}.")\n' +
      '#[cfg(test)]\nmod tests { "Only a test of it." }';
    assert.deepEqual(saidByRust(rust), ['Mantle did not "send" this.', "It is $1 of $2."]);
  });

  test("stand in no script", () => {
    for (const file of files(PAGE, /\.ts$/)) {
      const said = literals(read(file, PAGE)).filter(
        // What lies below the tables is translated where it is shown, as a module's sentences are.
        (one) => SENTENCE.test(one) && !ofBrowsers.test(one) && !values.has(one),
      );
      assert.deepEqual(said, [], file);
      // Of what is shown, a word is enough.
      assert.doesNotMatch(read(file, PAGE), SHOWN_IN_PAGE, file);
    }
  });

  test("are all used", () => {
    const code = files(PAGE, /\.ts$/)
      .map((file) => read(file, PAGE))
      .join("\n");
    const used = new Set([...code.matchAll(/"(\w+)"/g)].map(([, word = ""]) => word));
    const unused = Object.keys(pageTable("en"))
      .map((name) => name.replace(/_(?:one|other)$/, ""))
      .filter((name) => !used.has(name) && name !== "language" && name !== "direction");
    assert.deepEqual(unused, []);
  });

  test("of relay and background, which pages are refused with, have their translation", () => {
    for (const folder of ["relay", "protocol"]) {
      const of = new URL(`${folder}/`, EXTENSION);
      for (const file of files(of, /\.ts$/)) {
        const said = literals(read(file, of)).filter((one) => SENTENCE.test(one));
        const known = new Set([...values, pageTable("en")["unexpected"]]);
        assert.deepEqual(
          said.filter((one) => !known.has(one)),
          [],
          file,
        );
      }
    }
  });

  test("of the module of Mantle's own pages have their translation, and there is none for what it never says", () => {
    const table = (file: string): Record<string, { message: string }> =>
      JSON.parse(read(file, EXTENSION)) as Record<string, { message: string }>;
    const english = Object.entries(table("_locales/en/messages.json"));
    const translations = english
      .filter(([name]) => name.startsWith("said_"))
      .map(([, { message }]) => message);
    // What tables have a name of their own for.
    const named = new Set(Object.values(table("generated/texts.json")).map((one) => one.message));
    const said = new Set<string>();
    for (const crate of ["settings", "check-up", "bindings/pages"]) {
      const of = new URL(`../core/${crate}/src/`, EXTENSION);
      for (const file of files(of, /\.rs$/)) {
        for (const one of saidByRust(read(file, of))) {
          if (SAID_IN_PAGES.test(one) && !named.has(one)) said.add(one);
        }
      }
    }
    assert.ok(said.size > 0);
    assert.deepEqual([...said].sort(), translations.sort());
    for (const one of translations) assert.doesNotMatch(one, /\$[2-9]/);
  });

  test("of the modules have their translation, and there is none for what nobody says", () => {
    const said = new Set<string>();
    for (const crate of ["shields", "media", "room-state", "bindings/shields", "bindings/state"]) {
      const of = new URL(`../core/${crate}/src/`, EXTENSION);
      for (const file of files(of, /\.rs$/)) {
        const found = saidByRust(read(file, of));
        for (const one of found) said.add(one);
        // Tables of the documentation, and what no one but a developer meets.
        if (/catalogue\.rs$|probe\.rs$/.test(file)) continue;
        assert.deepEqual(
          found.filter((one) => SENTENCE.test(one) && !values.has(one)),
          [],
          `core/${crate}/src/${file}`,
        );
      }
    }
    for (const folder of ["relay", "browser", "background", "page/primordials"]) {
      const of = new URL(`${folder}/`, EXTENSION);
      for (const file of files(of, /\.ts$/))
        for (const one of literals(read(file, of))) said.add(one);
    }
    const lists = ["part_and", "part_comma"];
    const silent = Object.entries(sentences).filter(
      ([name, one]) => !said.has(one) && !lists.includes(name),
    );
    assert.deepEqual(silent, []);
  });
});
