/**
 * What a package's code can send: requests with method and path, path-like texts, event types and
 * hosts, read from its syntax trees. Nothing is run.
 *
 * What it cannot see: paths put together from what only a running program knows, and what a WASM
 * module holds (matrix-sdk-crypto hands requests to `OutgoingRequestProcessor`, whose paths are seen).
 * A call whose path cannot be told is reported as such and has to be explained like an unknown path.
 */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

import ts from "typescript";

/** One request of the code, `{}` for what is put in when it runs. */
export interface Call {
  method: string;
  path: string;
  /** What stands before the path; undefined where the caller of the code decides. */
  prefix: string | undefined;
  where: string;
}

export interface Found {
  calls: Call[];
  /** Calls whose path cannot be told. */
  unseen: string[];
  /** Texts that look like paths, and where the first one stands. */
  paths: Map<string, string>;
  /** Texts that look like types of events, account data, profile fields or features. */
  types: Map<string, string>;
  hosts: Map<string, string>;
}

const METHODS: Readonly<Record<string, string>> = {
  Get: "GET",
  Post: "POST",
  Put: "PUT",
  Delete: "DELETE",
  Patch: "PATCH",
};
/** Possible values of one expression: more are cut off. */
const MAX_TEXTS = 64;
const MAX_DEPTH = 12;

/** Of Matrix itself, or of whoever turns a domain around, as `us.cloke.msc4175.tz`. */
const TYPE =
  /^(?=.{4,80}$)(?:m|(?:app|at|ch|chat|com|de|dev|eu|fi|fr|im|io|me|net|nl|org|rs|town|uk|us|xyz)\.[a-z][\w-]*)(?:\.[\w*{}-]+)+\.?$/;
const PATH = /^\/(?=[^/])[\w$%{}.:@!~*/?=&-]*$/;
/** The file system that Emscripten makes up in memory. */
const IN_MEMORY = /^\/(dev|home|proc|tmp)(\/|$)/;
const HOST = /^(?:https?|wss?):\/\/(?<host>[^/?#]*)/;

/** All sources below a folder. */
export function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(
      (entry) =>
        entry.isFile() && /\.[cm]?[jt]sx?$/.test(entry.name) && !/\.d\.[cm]?ts$/.test(entry.name),
    )
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
}

/** Reads all files of a package; `folder` is what places are told relative to. */
export function whatIsIn(folder: string, files: readonly string[]): Found {
  const trees = files.map((file) => {
    const kind = /\.[cm]?js$/.test(file)
      ? ts.ScriptKind.JS
      : file.endsWith("x")
        ? ts.ScriptKind.TSX
        : ts.ScriptKind.TS;
    return ts.createSourceFile(
      path.relative(folder, file),
      readFileSync(file, "utf8"),
      ts.ScriptTarget.Latest,
      true,
      kind,
    );
  });
  const constants = new Constants(trees);
  const found: Found = {
    calls: [],
    unseen: [],
    paths: new Map(),
    types: new Map(),
    hosts: new Map(),
  };
  for (const tree of trees) new Reader(tree, constants, found).read();
  return found;
}

/** Constants of all modules by their names, which one package does not use twice. */
class Constants {
  private readonly byName = new Map<string, ts.Expression[]>();

  public constructor(trees: readonly ts.SourceFile[]) {
    const put = (name: string, value: ts.Expression): void => {
      const known = this.byName.get(name);
      if (known === undefined) this.byName.set(name, [value]);
      else known.push(value);
    };
    for (const tree of trees) {
      for (const statement of tree.statements) {
        if (ts.isVariableStatement(statement)) {
          for (const { name, initializer } of statement.declarationList.declarations) {
            if (ts.isIdentifier(name) && initializer !== undefined) put(name.text, initializer);
          }
        } else if (ts.isEnumDeclaration(statement)) {
          for (const { name, initializer } of statement.members) {
            if (initializer !== undefined)
              put(`${statement.name.text}.${name.getText(tree)}`, initializer);
          }
        } else if (ts.isClassDeclaration(statement) && statement.name !== undefined) {
          for (const member of statement.members) {
            if (ts.isPropertyDeclaration(member) && member.initializer !== undefined) {
              put(`${statement.name.text}.${member.name.getText(tree)}`, member.initializer);
            }
          }
        }
      }
    }
  }

  public get(name: string): readonly ts.Expression[] {
    return this.byName.get(name) ?? [];
  }
}

class Reader {
  public constructor(
    private readonly tree: ts.SourceFile,
    private readonly constants: Constants,
    private readonly found: Found,
  ) {}

  public read(): void {
    const visit = (node: ts.Node): void => {
      if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return;
      if (ts.isCallExpression(node)) this.call(node);
      if (ts.isStringLiteralLike(node)) this.text(node.text, node);
      else if (ts.isTemplateExpression(node)) {
        this.text(
          node.head.text + node.templateSpans.map((span) => `{}${span.literal.text}`).join(""),
          node,
        );
      }
      ts.forEachChild(node, visit);
    };
    visit(this.tree);
  }

  private text(text: string, node: ts.Node): void {
    const put = (map: Map<string, string>, key: string): void => {
      if (!map.has(key)) map.set(key, this.where(node));
    };
    const host = HOST.exec(text)?.groups?.["host"];
    if (host !== undefined) {
      if (host !== "" && host !== "{}") put(this.found.hosts, host);
    } else if (
      text.includes("/_matrix/") ||
      (PATH.test(text) && !IN_MEMORY.test(text) && /[a-z]{2}/i.test(text))
    ) {
      put(this.found.paths, templated(text));
    } else if (TYPE.test(text)) put(this.found.types, text);
  }

  /** `….request(Method.Get, path, …, { prefix })`, and `{ method: Method.Get }` beside an address. */
  private call(node: ts.CallExpression): void {
    const at = node.arguments.findIndex((argument) => methodOf(argument) !== undefined);
    const first = node.arguments[at];
    const target = node.arguments[at + 1];
    if (first === undefined || target === undefined) return;
    const method = methodOf(first) ?? "";
    const paths = this.texts(target, 0);
    if (paths === undefined) {
      this.found.unseen.push(`${method} ${this.where(node)}`);
      return;
    }
    const options = node.arguments.slice(at + 2);
    const prefixes = this.prefixes(options);
    for (const text of paths) {
      for (const prefix of prefixes) {
        this.found.calls.push({ method, path: templated(text), prefix, where: this.where(node) });
      }
    }
  }

  private prefixes(options: readonly ts.Expression[]): (string | undefined)[] {
    for (const option of options) {
      const texts = this.memberOf(option, "prefix");
      if (texts !== undefined) return texts.map(templated);
      // `idServerRequest(method, path, params, prefix)`
      const direct = ts.isPropertyAccessExpression(option) ? this.texts(option, 0) : undefined;
      if (direct?.every((text) => text.startsWith("/_matrix/")) === true)
        return direct.map(templated);
    }
    return [undefined];
  }

  /** The values of an object literal's member, also where the object is a variable. */
  private memberOf(expression: ts.Expression, name: string): string[] | undefined {
    if (ts.isIdentifier(expression)) {
      const values = this.valuesOf(expression).flatMap((value) => this.memberOf(value, name) ?? []);
      return values.length > 0 ? values : undefined;
    }
    if (!ts.isObjectLiteralExpression(expression)) return undefined;
    for (const member of expression.properties) {
      if (ts.isPropertyAssignment(member) && member.name.getText(this.tree) === name) {
        return this.texts(member.initializer, 0) ?? ["{}"];
      }
      if (ts.isShorthandPropertyAssignment(member) && member.name.text === name) {
        return this.texts(member.name, 0) ?? ["{}"];
      }
      if (ts.isSpreadAssignment(member)) {
        const inside = this.memberOf(member.expression, name);
        if (inside !== undefined) return inside;
      }
    }
    return undefined;
  }

  /** What an expression can be; undefined when nothing is known of it. */
  private texts(node: ts.Expression, depth: number): string[] | undefined {
    if (depth > MAX_DEPTH) return undefined;
    const inside = (expression: ts.Expression): string[] | undefined =>
      this.texts(expression, depth + 1);
    if (ts.isStringLiteralLike(node)) return [node.text];
    if (
      ts.isParenthesizedExpression(node) ||
      ts.isAsExpression(node) ||
      ts.isNonNullExpression(node) ||
      ts.isAwaitExpression(node)
    ) {
      return inside(node.expression);
    }
    if (ts.isTemplateExpression(node)) {
      return node.templateSpans.reduce(
        (all, { expression, literal }) =>
          combined(combined(all, inside(expression) ?? ["{}"]), [literal.text]),
        [node.head.text],
      );
    }
    if (ts.isConditionalExpression(node))
      return either(inside(node.whenTrue), inside(node.whenFalse));
    if (ts.isBinaryExpression(node)) {
      if (node.operatorToken.kind === ts.SyntaxKind.PlusToken) {
        const [left, right] = [inside(node.left), inside(node.right)];
        if (left === undefined && right === undefined) return undefined;
        return combined(left ?? ["{}"], right ?? ["{}"]);
      }
      return either(inside(node.left), inside(node.right));
    }
    if (ts.isCallExpression(node)) {
      const name = node.expression.getText(this.tree).split(".").at(-1) ?? "";
      const [first] = node.arguments;
      if (name === "encodeUri" && first !== undefined) return inside(first);
      if (name === "toString" && ts.isPropertyAccessExpression(node.expression))
        return inside(node.expression.expression);
      return this.returned(node, depth);
    }
    if (ts.isNewExpression(node)) {
      const constructed = node.arguments?.flatMap((argument) => inside(argument) ?? []) ?? [];
      return constructed.length > 0 ? constructed : undefined;
    }
    if (ts.isIdentifier(node)) {
      const values = this.valuesOf(node);
      return values.length === 0 ? undefined : this.unite(values, depth);
    }
    if (ts.isPropertyAccessExpression(node)) {
      const whole = this.constants.get(node.getText(this.tree).split(".").slice(-2).join("."));
      if (whole.length > 0) return this.unite(whole, depth);
      // A name with its unstable twin: `X.name`, `X.stable`, `X.unstable`, `X.path`.
      const owner = node.expression;
      const member = ts.isIdentifier(owner) ? this.memberOf(owner, node.name.text) : undefined;
      if (member !== undefined) return member;
      if (/^(name|stable|unstable|altName|href|pathname)$/.test(node.name.text))
        return inside(owner);
    }
    return undefined;
  }

  private unite(values: readonly ts.Expression[], depth: number): string[] | undefined {
    const all = values.map((value) => this.texts(value, depth + 1));
    return all.reduce(either, undefined);
  }

  /** What a function of the same file returns. */
  private returned(node: ts.CallExpression, depth: number): string[] | undefined {
    const name = node.expression.getText(this.tree).split(".").at(-1) ?? "";
    const results: string[] = [];
    const visit = (inner: ts.Node): void => {
      const isIt =
        (ts.isFunctionDeclaration(inner) || ts.isMethodDeclaration(inner)) &&
        inner.name?.getText(this.tree) === name;
      if (isIt && inner.body !== undefined) {
        const look = (part: ts.Node): void => {
          if (ts.isReturnStatement(part) && part.expression !== undefined) {
            results.push(...(this.texts(part.expression, depth + 1) ?? []));
          }
          ts.forEachChild(part, look);
        };
        look(inner.body);
      }
      ts.forEachChild(inner, visit);
    };
    visit(this.tree);
    return results.length > 0 ? results : undefined;
  }

  /** All that is put into a variable: in the functions around the place, or a constant anywhere. */
  private valuesOf(node: ts.Identifier): ts.Expression[] {
    let scope: ts.Node | undefined = node.parent;
    while (scope !== undefined) {
      if (ts.isFunctionLike(scope)) {
        const values = this.valuesWithin(scope, node);
        if (values.length > 0) return values;
        if (scope.parameters.some(({ name }) => name.getText(this.tree) === node.text)) return [];
      }
      scope = scope.parent;
    }
    return [...this.constants.get(node.text)];
  }

  private valuesWithin(scope: ts.Node, variable: ts.Identifier): ts.Expression[] {
    const name = variable.text;
    const values: ts.Expression[] = [];
    const visit = (node: ts.Node): void => {
      // `path = encodeUri(path + "/more")`: only what was put there before.
      if (node.pos >= variable.pos) return;
      const isOver = (value: ts.Node): boolean => value.end <= variable.pos;
      if (
        ts.isVariableDeclaration(node) &&
        node.initializer !== undefined &&
        isOver(node.initializer) &&
        node.name.getText(this.tree) === name
      ) {
        values.push(node.initializer);
      } else if (
        ts.isBinaryExpression(node) &&
        ts.isIdentifier(node.left) &&
        node.left.text === name &&
        isOver(node.right)
      ) {
        if (node.operatorToken.kind === ts.SyntaxKind.EqualsToken) values.push(node.right);
        if (node.operatorToken.kind === ts.SyntaxKind.PlusEqualsToken) {
          const grown = values.map((value) => ts.factory.createAdd(value, node.right));
          values.push(...grown);
        }
      }
      ts.forEachChild(node, visit);
    };
    visit(scope);
    return values;
  }

  private where(node: ts.Node): string {
    let scope: ts.Node | undefined = node;
    while (scope !== undefined) {
      if (ts.isFunctionLike(scope) && scope.name !== undefined) {
        return `${this.tree.fileName}: ${scope.name.getText(this.tree)}`;
      }
      scope = scope.parent;
    }
    return this.tree.fileName;
  }
}

function methodOf(node: ts.Expression): string | undefined {
  if (!ts.isPropertyAccessExpression(node) || !ts.isIdentifier(node.expression)) return undefined;
  return node.expression.text === "Method" ? METHODS[node.name.text] : undefined;
}

function combined(left: readonly string[], right: readonly string[]): string[] {
  return left.flatMap((start) => right.map((end) => start + end)).slice(0, MAX_TEXTS);
}

function either(left: string[] | undefined, right: string[] | undefined): string[] | undefined {
  if (left === undefined || right === undefined) return left ?? right;
  return [...new Set([...left, ...right])].slice(0, MAX_TEXTS);
}

/** `$roomId` and `%roomId` are the places of encodeUri. */
function templated(text: string): string {
  return text.replace(/[$%][a-zA-Z]\w*/g, "{}").replace(/[?#].*$/, "");
}
