/**
 * The page's script shares its world with the page, whose scripts may have changed what the
 * language's own objects do before Mantle next calls them. Here its sources are rewritten, so that
 * method calls, loops, spreads, names of the language and asynchronous functions mean what they meant
 * before any script of the page ran (`extension/page/primordials/unpatched.ts`). Sources stay ordinary
 * TypeScript, and one that cannot be rewritten fails the build.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

import { type Plugin, transform } from "esbuild";
import ts from "typescript";

import {
  GLOBALS,
  KINDS,
  METHODS,
  READS,
  READS_IN_GLUE,
  STATICS,
} from "../extension/page/primordials/unpatched-names.ts";
import { Failure, root } from "./process.ts";

const RUNTIME = "extension/page/primordials/unpatched.ts";
/** They run before the page does, or are what the others are rewritten to. */
const LEFT = ["primordials.ts", "unpatched.ts", "unpatched-names.ts"].map(
  (name) => `extension/page/primordials/${name}`,
);
/** As esbuild writes it before the first asynchronous function. */
const ESBUILDS_HELPER = /^var __async = [^]*?\n\};\n/;
/** What `globalThis.x` of these means. */
const OF_THE_PAGE = new Set(["globalThis", "window", "page"]);

/** Kinds whose methods are taken up without a name of theirs in `KINDS`. */
/** Methods that the browser looks for members in what they are given. */
const ASKING = new Set([
  ...["decode", "digest", "importKey", "exportKey", "generateKey", "encrypt", "decrypt", "sign"],
]);
/** Functions of `primordials` that keep what they are given, or send it as it is. */
const KEEPING = new Set(["push", "postToPort", "result", "own", "stringify", "quoteJson"]);
/** Those that go through a list as the browser does, by the iterator that it has. */
const GOING_THROUGH = new Set(["setSheets"]);

const KINDS_TOO = ["Array", "String", "Function", "Promise", "IteratorObject"];
/** All methods that the language and the browser give to what `unpatched.ts` takes up. */
const NATIVE: ReadonlySet<string> = nativeMethods();

function nativeMethods(): Set<string> {
  const folder = path.dirname(createRequire(import.meta.url).resolve("typescript"));
  const methods = new Map<string, { own: string[]; from: string[] }>();
  for (const file of readdirSync(folder)) {
    if (!/^lib\.(?:es|esnext|dom)[.\w]*\.d\.ts$/.test(file)) continue;
    const text = readFileSync(path.join(folder, file), "utf8");
    const tree = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
    const visit = (node: ts.Node): void => {
      if (ts.isModuleDeclaration(node) || ts.isModuleBlock(node)) ts.forEachChild(node, visit);
      if (!ts.isInterfaceDeclaration(node)) return;
      const of = methods.get(node.name.text) ?? { own: [], from: [] };
      methods.set(node.name.text, of);
      for (const { name } of node.members.filter(ts.isMethodSignature)) {
        if (ts.isIdentifier(name)) of.own.push(name.text);
      }
      for (const { types } of node.heritageClauses ?? []) {
        for (const { expression } of types) {
          if (ts.isIdentifier(expression)) of.from.push(expression.text);
        }
      }
    };
    ts.forEachChild(tree, visit);
  }
  const all = (kind: string): string[] => {
    const { own = [], from = [] } = methods.get(kind) ?? {};
    return [...own, ...from.flatMap(all)];
  };
  return new Set([...KINDS_TOO, ...KINDS].flatMap(all));
}

/** For the bundle of the page's script alone. */
export function unpatched(): Plugin {
  return {
    name: "mantle-unpatched",
    setup(builder) {
      builder.onLoad({ filter: /\.(?:ts|js)$/ }, async ({ path: file }) => {
        const name = path.relative(root, file).replaceAll(path.sep, "/");
        const isGlue = name.endsWith(".js");
        if (LEFT.includes(name) || (!isGlue && !name.startsWith("extension/"))) return undefined;
        const contents = await withoutPatches(readFileSync(file, "utf8"), name, isGlue);
        return { contents, loader: "js" };
      });
    },
  };
}

/** JavaScript that goes by what there was before the page. */
export async function withoutPatches(
  source: string,
  name: string,
  isGlue = false,
): Promise<string> {
  const rewritten = rewrite(source, name, isGlue ? READS_IN_GLUE : READS);
  const { code } = await transform(rewritten, {
    loader: "ts",
    sourcefile: name,
    target: ["chrome119", "firefox128"],
    supported: { "async-await": false, "async-generator": true, "for-await": true },
    tsconfigRaw: { compilerOptions: { target: "ES2022", verbatimModuleSyntax: true } },
  });
  const usesHelper = /\b__async\(/.test(code);
  const plain = code.replace(ESBUILDS_HELPER, "");
  if (usesHelper === (plain === code) || /\bvar __|\basync\b[^\n]*(?:=>|\{)/.test(plain)) {
    throw new Failure(`${name}: esbuild lowers something to what the build does not know.`);
  }
  const wanted = Object.entries({
    $calls: "calls",
    $reads: "reads",
    $globals: "globals",
    $statics: "statics",
    $each: "each",
    $eachAsList: "eachAsList",
    $made: "made",
    $maybe: "maybe",
    __async: "asynchronous",
  }).filter(([local]) => plain.includes(local));
  if (wanted.length === 0) return plain;
  const names = wanted.map(([local, exported]) => `${exported} as ${local}`).join(", ");
  return `import { ${names} } from ${JSON.stringify(path.join(root, RUNTIME))};\n${plain}`;
}

/** Text put in at a place, or in place of what stands there. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

function rewrite(source: string, name: string, reads: readonly string[]): string {
  const tree = ts.createSourceFile(name, source, ts.ScriptTarget.Latest, true, ts.ScriptKind.TS);
  const declared = declaredNames(tree);
  const primordials = namesFrom(tree, /\/(?:primordials|dom)\.ts$/);
  const expressions = declaredExpressions(tree);
  const before: Edit[] = [];
  const after: Edit[] = [];
  const put = (at: number, text: string): void => void before.push({ from: at, to: at, text });
  const replace = (from: number, to: number, text: string): void =>
    void before.push({ from, to, text });
  const close = (at: number, text: string): void => void after.push({ from: at, to: at, text });
  const fail = (node: ts.Node, why: string): never => {
    const { line } = tree.getLineAndCharacterOfPosition(node.getStart());
    throw new Failure(`${name}:${line + 1}: ${why}`);
  };
  const wrap = (node: ts.Node, by: string): void => {
    put(node.getStart(), `${by}(`);
    close(node.getEnd(), ")");
  };
  /** A name of the language that no declaration of this file hides. */
  const isFree = (node: ts.Node, among: readonly string[]): node is ts.Identifier =>
    ts.isIdentifier(node) && among.includes(node.text) && !declared.has(node.text);
  /** Constructors that ask what they are given, or what they make, for parts of it. */
  const isMade = (node: ts.Node): node is ts.Identifier =>
    isFree(node, ["Map", "Set", "Promise"]) ||
    (ts.isIdentifier(node) && node.text === "NativePromise");
  const staticName = (node: ts.Node): string | undefined => {
    if (!ts.isIdentifier(node)) return undefined;
    const known = node.text.replace(/^Native(?=Promise$|WebAssembly$)/, "");
    if (!STATICS.includes(known)) return undefined;
    return known !== node.text || !declared.has(known) ? known : undefined;
  };

  /** Whether it is given to the browser, which looks for members that are missing on all objects. */
  const isAsked = (node: ts.Node, isList: boolean): boolean => {
    let inside = node;
    while (isLiteralPart(inside.parent)) inside = inside.parent;
    const { parent } = inside;
    if (!ts.isCallExpression(parent) && !ts.isNewExpression(parent)) return false;
    if (parent.arguments?.some((argument) => argument === inside) !== true) return false;
    const callee = parent.expression;
    if (ts.isNewExpression(parent)) {
      if (!ts.isIdentifier(callee)) return false;
      return (
        /^Native(?!Proxy|Promise|Map|Set|Error|WeakMap)/.test(callee.text) ||
        isFree(callee, GLOBALS)
      );
    }
    if (ts.isPropertyAccessExpression(callee)) return ASKING.has(callee.name.text);
    if (!ts.isIdentifier(callee) || !primordials.has(callee.text)) return false;
    return isList ? GOING_THROUGH.has(callee.text) : !KEEPING.has(callee.text);
  };

  /** What goes on in the same chain would not be left out with it. */
  const refuseLongerChain = (node: ts.Node): void => {
    let inside = node;
    while (ts.isNonNullExpression(inside.parent)) inside = inside.parent;
    const { parent } = inside;
    if (!ts.isOptionalChain(parent) || ts.isNonNullChain(parent)) return;
    if (parent.questionDotToken !== undefined) return;
    const isRewritten =
      ts.isPropertyAccessExpression(parent) &&
      (ts.isCallExpression(parent.parent) && parent.parent.expression === parent
        ? METHODS.includes(parent.name.text) && parent.parent.questionDotToken === undefined
        : reads.includes(parent.name.text) && !isTarget(parent));
    const isNext = (parent as { expression?: ts.Node }).expression === inside;
    if (isNext && !isRewritten) {
      fail(node, "a chain behind ?. that goes on after a rewritten part cannot be rewritten.");
    }
  };

  const visitCall = (node: ts.CallExpression, callee: ts.PropertyAccessExpression): void => {
    const self = callee.expression;
    const method = callee.name.text;
    const isChain = ts.isOptionalChain(node);
    const [first] = node.arguments;
    const start = first === undefined ? node.getEnd() - 1 : first.getFullStart();
    const gap = first === undefined ? "" : ", ";
    const isLiteral = first !== undefined && ts.isRegularExpressionLiteral(first);
    if (method === "split" && (isLiteral || expressions.has(first?.getText() ?? ""))) {
      fail(
        node,
        "a text is split by a text; by an expression it would ask for parts of the page's.",
      );
    }
    if (isChain) {
      refuseLongerChain(node);
      if (node.arguments.some((argument) => /\bawait\b/.test(argument.getText()))) {
        fail(node, "an optional call whose arguments are awaited cannot be rewritten.");
      }
      put(self.getStart(), "$maybe(");
      replace(self.getEnd(), start, `, ($it) => $calls.${method}($it${gap}`);
      close(node.getEnd(), ")");
    } else {
      put(self.getStart(), `$calls.${method}(`);
      replace(self.getEnd(), start, gap);
    }
    visit(self);
    node.arguments.forEach(visit);
  };

  const visit = (node: ts.Node): void => {
    if ("asteriskToken" in node && node.asteriskToken !== undefined) {
      fail(node, "a generator is stepped by methods that a page would hear.");
    }
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return;
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
    if (ts.isHeritageClause(node) && node.token === ts.SyntaxKind.ImplementsKeyword) return;
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const callee = node.expression;
      const borrowed = borrowedMethod(callee);
      if (borrowed !== undefined && GLOBALS.includes(borrowed.of)) {
        replace(callee.getStart(), callee.getEnd(), `$calls.${borrowed.method}`);
        node.arguments.forEach(visit);
        return;
      }
      const isKnown =
        ts.isIdentifier(callee.name) &&
        // A method that may be missing is none of the language's.
        node.questionDotToken === undefined &&
        METHODS.includes(callee.name.text) &&
        callee.expression.kind !== ts.SyntaxKind.SuperKeyword &&
        staticName(callee.expression) === undefined;
      if (isKnown) {
        visitCall(node, callee);
        return;
      }
      const isHeard =
        NATIVE.has(callee.name.text) &&
        !METHODS.includes(callee.name.text) &&
        callee.expression.kind !== ts.SyntaxKind.SuperKeyword &&
        staticName(callee.expression) === undefined;
      if (isHeard) {
        fail(node, `${callee.name.text} is a method that a page would hear: name it in METHODS.`);
      }
      const isOfPage =
        ts.isIdentifier(callee.expression) &&
        OF_THE_PAGE.has(callee.expression.text) &&
        !GLOBALS.includes(callee.name.text);
      if (isOfPage) fail(node, "a function of the page's window: take it up in primordials.ts.");
    }
    const isBare = (literal: ts.ObjectLiteralExpression): boolean =>
      literal.properties.some((member) => member.name?.getText() === "__proto__");
    if (ts.isObjectLiteralExpression(node) && !isBare(node) && isAsked(node, false)) {
      put(node.getStart() + 1, " __proto__: null,");
    }
    if (ts.isArrayLiteralExpression(node) && isAsked(node, true)) wrap(node, "$each");
    if (ts.isNewExpression(node) && /^(?:Native)?Blob$/.test(node.expression.getText())) {
      const [parts] = node.arguments ?? [];
      if (parts !== undefined && !ts.isArrayLiteralExpression(parts)) wrap(parts, "$each");
    }
    if (ts.isNewExpression(node) && isMade(node.expression)) {
      const [first] = node.arguments ?? [];
      if (first !== undefined) {
        const kind = node.expression.text.replace(/^Native/, "");
        replace(node.getStart(), first.getFullStart(), `$made.${kind}(`);
        node.arguments?.forEach(visit);
        return;
      }
    }
    if (ts.isPropertyAccessExpression(node)) {
      const of = staticName(node.expression);
      if (of !== undefined) {
        replace(node.expression.getStart(), node.expression.getEnd(), `$statics.${of}`);
        return;
      }
      const isOfPage = ts.isIdentifier(node.expression) && OF_THE_PAGE.has(node.expression.text);
      if (isOfPage && GLOBALS.includes(node.name.text)) {
        replace(node.expression.getStart(), node.expression.getEnd(), "$globals");
        return;
      }
      if (reads.includes(node.name.text) && !isTarget(node)) {
        if (ts.isOptionalChain(node)) {
          refuseLongerChain(node);
          put(node.expression.getStart(), "$maybe(");
          replace(node.expression.getEnd(), node.getEnd(), `, $reads.${node.name.text})`);
        } else {
          put(node.expression.getStart(), `$reads.${node.name.text}(`);
          replace(node.expression.getEnd(), node.getEnd(), ")");
        }
        visit(node.expression);
        return;
      }
    }
    if (isFree(node, GLOBALS) && isValue(node)) {
      replace(node.getStart(), node.getEnd(), `$globals.${node.text}`);
      return;
    }
    if (ts.isForOfStatement(node)) {
      const [variable] = ts.isVariableDeclarationList(node.initializer)
        ? node.initializer.declarations
        : [];
      const isTakenApart = variable !== undefined && ts.isArrayBindingPattern(variable.name);
      wrap(node.expression, isTakenApart ? "$eachAsList" : "$each");
    }
    if (ts.isSpreadElement(node)) wrap(node.expression, "$each");
    if (ts.isArrayBindingPattern(node)) {
      const { parent } = node;
      const isVariable = ts.isVariableDeclaration(parent);
      if (isVariable && parent.initializer !== undefined) wrap(parent.initializer, "$each");
      else if (!isVariable || !ts.isForOfStatement(parent.parent.parent)) {
        fail(node, "a list taken apart here cannot be rewritten; take it apart by its indexes.");
      }
    }
    if (
      ts.isBinaryExpression(node) &&
      node.operatorToken.kind === ts.SyntaxKind.EqualsToken &&
      ts.isArrayLiteralExpression(node.left)
    ) {
      wrap(node.right, "$each");
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return applied(source, before, after);
}

/** `X.prototype.method.call`: the method with what it is called on first. */
function borrowedMethod(
  callee: ts.PropertyAccessExpression,
): { of: string; method: string } | undefined {
  const method = callee.expression;
  if (callee.name.text !== "call" || !ts.isPropertyAccessExpression(method)) return undefined;
  const prototype = method.expression;
  if (!ts.isPropertyAccessExpression(prototype) || prototype.name.text !== "prototype") {
    return undefined;
  }
  if (!METHODS.includes(method.name.text)) return undefined;
  return { of: prototype.expression.getText(), method: method.name.text };
}

/** What a file imports from files whose name is such, or takes up from the browser itself. */
function namesFrom(tree: ts.SourceFile, name: RegExp): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    const isTaken =
      ts.isVariableDeclaration(node) &&
      node.initializer !== undefined &&
      /^(?:\w+ &&\s*)?(?:uncurry|capturedSetter)\b/.test(node.initializer.getText());
    if (isTaken) names.add(node.name.getText());
    ts.forEachChild(node, visit);
  };
  visit(tree);
  for (const statement of tree.statements) {
    if (!ts.isImportDeclaration(statement)) continue;
    if (!name.test((statement.moduleSpecifier as ts.StringLiteral).text)) continue;
    const bindings = statement.importClause?.namedBindings;
    if (bindings === undefined || !ts.isNamedImports(bindings)) continue;
    for (const { name: local } of bindings.elements) names.add(local.text);
  }
  return names;
}

/** What lies between a literal and the call that it is a part of. */
function isLiteralPart(node: ts.Node): boolean {
  return (
    ts.isPropertyAssignment(node) ||
    ts.isObjectLiteralExpression(node) ||
    ts.isArrayLiteralExpression(node) ||
    ts.isSpreadAssignment(node) ||
    ts.isSpreadElement(node) ||
    ts.isConditionalExpression(node) ||
    ts.isParenthesizedExpression(node) ||
    ts.isAsExpression(node)
  );
}

/** All that a file declares anywhere; a name declared in one place counts in all. */
function declaredNames(tree: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    const { name } = node as { name?: ts.Node };
    const isDeclared =
      name !== undefined &&
      ts.isIdentifier(name) &&
      (ts.isVariableDeclaration(node) ||
        ts.isParameter(node) ||
        ts.isBindingElement(node) ||
        ts.isFunctionDeclaration(node) ||
        ts.isClassDeclaration(node) ||
        ts.isImportSpecifier(node) ||
        ts.isImportClause(node) ||
        ts.isNamespaceImport(node));
    if (isDeclared) names.add(name.text);
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return names;
}

/** Names that are declared as regular expressions. */
function declaredExpressions(tree: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    const isOne =
      ts.isVariableDeclaration(node) &&
      node.initializer !== undefined &&
      (ts.isRegularExpressionLiteral(node.initializer) ||
        (ts.isNewExpression(node.initializer) &&
          /^(?:Native)?RegExp$/.test(node.initializer.expression.getText())));
    if (isOne) names.add(node.name.getText());
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return names;
}

/** An identifier that is read, not the name of a member, a label or a declaration. */
function isValue(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isShorthandPropertyAssignment(parent)) return false;
  if (ts.isQualifiedName(parent)) return false;
  const { name } = parent as { name?: ts.Node };
  const { propertyName } = parent as { propertyName?: ts.Node };
  return name !== node && propertyName !== node;
}

/** What is set, counted up or taken away is no read. */
function isTarget(node: ts.PropertyAccessExpression): boolean {
  const { parent } = node;
  if (ts.isBinaryExpression(parent)) {
    const { kind } = parent.operatorToken;
    return (
      parent.left === node &&
      kind >= ts.SyntaxKind.FirstAssignment &&
      kind <= ts.SyntaxKind.LastAssignment
    );
  }
  const isCounted =
    ts.isPrefixUnaryExpression(parent) &&
    (parent.operator === ts.SyntaxKind.PlusPlusToken ||
      parent.operator === ts.SyntaxKind.MinusMinusToken);
  return isCounted || ts.isPostfixUnaryExpression(parent) || ts.isDeleteExpression(parent);
}

/** Where two stand at one place: what closes before what opens, outer before inner, inner first to close. */
function applied(source: string, before: readonly Edit[], after: readonly Edit[]): string {
  const edits = [
    ...after.toReversed().map((edit, order) => ({ ...edit, rank: 0, order })),
    ...before.map((edit, order) => ({ ...edit, rank: edit.from === edit.to ? 1 : 2, order })),
  ].sort((a, b) => a.from - b.from || a.rank - b.rank || a.order - b.order);
  let text = "";
  let at = 0;
  for (const edit of edits) {
    text += source.slice(at, edit.from) + edit.text;
    at = Math.max(at, edit.to);
  }
  return text + source.slice(at);
}
