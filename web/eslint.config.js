import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["node_modules/", "dist/"] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser } },
  },
  {
    rules: {
      // TypeScript knows which names exist.
      "no-undef": "off",
      eqeqeq: "error",
      // Routes are hashes of this one page, made by `href` of the router.
      "svelte/no-navigation-without-resolve": "off",
    },
  },
);
