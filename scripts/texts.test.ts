import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";

import ts from "typescript";

const UI = new URL("../extension/ui/", import.meta.url);
const files = (of: URL, ending: string): string[] =>
  readdirSync(of, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(ending) && !file.endsWith(".test.ts"),
  );
const read = (file: string, of: URL): string => readFileSync(new URL(file, of), "utf8");

/** What is set as text, or read out. */
const SHOWN =
  /^(?:text|title|placeholder|alt|aria-(?:label|description|valuetext|roledescription))$/;
const SET = /^(?:textContent|innerText|innerHTML|title|placeholder|alt|ariaLabel)$/;
/** Calls whose texts no person reads. */
const UNREAD = /^(?:querySelector|querySelectorAll|closest|matches|getPropertyValue)$/;

/** Literals of a source that a person would read. */
function readable(source: string): string[] {
  const tree = ts.createSourceFile("a.ts", source, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isThrowStatement(node) || ts.isTypeNode(node)) return;
    if (ts.isPropertyAssignment(node) && /^(?:class|role)$/.test(node.name.getText())) return;
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
    for (const file of files(UI, ".ts")) assert.deepEqual(readable(read(file, UI)), [], file);
    for (const file of files(UI, ".html")) {
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
        files(new URL(`${folder}/`, extension), ".ts").map((file) => `${folder}/${file}`),
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
        !manifest.includes(`__MSG_${name}__`)
      );
    });
    assert.deepEqual(unused, []);
  });
});
