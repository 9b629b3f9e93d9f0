//! `#[gosched::main]` and `#[gosched::test]`: functions that run inside a runtime of their own.
//!
//! `#[gosched::main(workers = 4)] pub fn main() -> R { … }` becomes
//!
//! ```text
//! pub fn main() -> R {
//!     fn main() -> R { … }
//!     ::gosched::debug::__private::handle_sigquit(true);
//!     ::gosched::runtime::__private::main(::gosched::Runtime::builder().workers(4), main)
//! }
//! ```
//!
//! and an `async fn` the same with an inner `async fn` and `main_async(builder, main())`. The inner
//! function keeps the name, so that no new name can shadow one of the user's, and backtraces show
//! the one they know. Attributes stay on the outer function; lint levels reach the inner one
//! from there.
//!
//! A test becomes the same with `#[test]` before it, and with its name and `Settings::new().timeout(…)` among the
//! arguments. What it returns has been reported inside, so the outer function returns an exit code; or
//! nothing, where the test does, as `#[should_panic]` asks for.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{AttrStyle, Error, Expr, ItemFn, LitStr, Path, Result, ReturnType, Token};

/// Which attribute it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Main,
    Test,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Test => "test",
        }
    }

    /// What may stand among the arguments.
    fn expected(self) -> &'static str {
        match self {
            Self::Main => EXPECTED,
            Self::Test => EXPECTED_OF_TEST,
        }
    }
}

/// `#[gosched::main]`: its arguments and the function, a function out.
pub(crate) fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::Main, arguments, item)
}

/// `#[gosched::test]`: the same.
pub(crate) fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(Kind::Test, arguments, item)
}

/// The whole attribute.
///
/// A rejected program still gets its function, without a runtime, so that one mistake in the
/// attribute does not bring errors about a missing `main`.
fn attribute(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function = match syn::parse2::<ItemFn>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    let parse = |input: ParseStream<'_>| Arguments::parse(kind, input);
    let expanded = parse.parse2(arguments).and_then(|arguments| {
        check_signature(kind, &function)?;
        Ok(expand(kind, &arguments, &function))
    });
    expanded.unwrap_or_else(|error| {
        let error = error.into_compile_error();
        let stand_in = stand_in(function);
        quote!(#error #stand_in)
    })
}

/// What stands in the parentheses of the attribute.
#[derive(Default)]
struct Arguments {
    library: Option<Path>,
    /// Calls of builder methods, in the order of the arguments: `.workers(4)`.
    settings: TokenStream,
    /// The same for a test's settings: `.timeout(…)`.
    of_test: TokenStream,
    /// Whether `main` handles SIGQUIT, if that is said.
    sigquit: Option<Expr>,
    /// The `unsafe` of `unsafe(migrate)`, as the user wrote it.
    migrate: Option<Token![unsafe]>,
}

impl Arguments {
    fn parse(kind: Kind, input: ParseStream<'_>) -> Result<Arguments> {
        let mut arguments = Arguments::default();
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            let start = input.span();
            let name = arguments.one(kind, input)?;
            if seen.contains(&name) {
                return Err(Error::new(start, format!("the argument `{name}` is given twice")));
            }
            seen.push(name);
            if input.is_empty() {
                break;
            }
            input.parse::<Token![,]>()?;
        }
        Ok(arguments)
    }

    /// Parses one argument and returns its name.
    fn one(&mut self, kind: Kind, input: ParseStream<'_>) -> Result<String> {
        if input.peek(Token![unsafe]) {
            return self.unsafe_one(input);
        }
        if input.peek(Token![crate]) {
            input.parse::<Token![crate]>()?;
            value_follows(input, "crate", "path::to::gosched")?;
            self.library = Some(library_path(input)?);
            return Ok("crate".to_owned());
        }
        let ident = input.parse::<Ident>().map_err(|error| Error::new(error.span(), kind.expected()))?;
        let name = ident.to_string();
        let example = match name.as_str() {
            "workers" => "4",
            "stack_size" => "64 * 1024",
            "name" => "\"my-program\"",
            "sigquit" if kind == Kind::Main => "false",
            "timeout" if kind == Kind::Test => "Duration::from_secs(5)",
            "leak_check" if kind == Kind::Test => "false",
            "os_threads" => {
                if input.peek(Token![=]) || input.peek(syn::token::Paren) {
                    return Err(input.error("`os_threads` takes no value"));
                }
                self.settings.extend(quote!(.#ident()));
                return Ok(name);
            }
            "migrate" => {
                let message = "started goroutines that change threads are unsafe: write `unsafe(migrate)`, \
                               and keep the contract of `runtime::Builder::migrate`";
                return Err(Error::new(ident.span(), message));
            }
            _ => {
                let expected = kind.expected();
                return Err(Error::new(ident.span(), format!("unknown argument `{name}`: {expected}")));
            }
        };
        value_follows(input, &name, example)?;
        let value = input.parse::<Expr>()?;
        match name.as_str() {
            "sigquit" => self.sigquit = Some(value),
            "timeout" | "leak_check" => self.of_test.extend(quote!(.#ident(#value))),
            _ => self.settings.extend(quote!(.#ident(#value))),
        }
        Ok(name)
    }

    /// `unsafe(migrate)`.
    fn unsafe_one(&mut self, input: ParseStream<'_>) -> Result<String> {
        const ONLY: &str = "the only unsafe argument is `unsafe(migrate)`";
        let keyword = input.parse::<Token![unsafe]>()?;
        if !input.peek(syn::token::Paren) {
            return Err(Error::new(keyword.span, ONLY));
        }
        let inner;
        syn::parenthesized!(inner in input);
        let ident = inner.parse::<Ident>().map_err(|error| Error::new(error.span(), ONLY))?;
        if ident != "migrate" || !inner.is_empty() {
            return Err(Error::new(ident.span(), ONLY));
        }
        self.migrate = Some(keyword);
        Ok("unsafe(migrate)".to_owned())
    }
}

const EXPECTED: &str =
    "expected `workers`, `stack_size`, `name`, `sigquit`, `os_threads`, `unsafe(migrate)` or `crate`";
const EXPECTED_OF_TEST: &str = "expected `timeout`, `leak_check`, `workers`, `stack_size`, `name`, `os_threads`, \
                                `unsafe(migrate)` or `crate`";

/// The `=` between an argument's name and its value.
fn value_follows(input: ParseStream<'_>, name: &str, example: &str) -> Result<()> {
    let missing = Error::new(input.span(), format!("`{name}` needs a value: `{name} = {example}`"));
    if !input.peek(Token![=]) {
        return Err(missing);
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(missing);
    }
    Ok(())
}

/// A path, bare or in a string.
fn library_path(input: ParseStream<'_>) -> Result<Path> {
    if input.peek(LitStr) {
        return input.parse::<LitStr>()?.parse_with(Path::parse_mod_style);
    }
    Path::parse_mod_style(input)
}

/// Rejects what a function that starts the runtime cannot have.
fn check_signature(kind: Kind, function: &ItemFn) -> Result<()> {
    let signature = &function.sig;
    let name = &signature.ident;
    let reject = |tokens: &dyn quote::ToTokens, what: &str| {
        let message = format!("`{name}` {what} under `#[gosched::{}]`", kind.name());
        Err(Error::new_spanned(tokens.to_token_stream(), message))
    };
    if !signature.inputs.is_empty() {
        return reject(&signature.inputs, "cannot take arguments");
    }
    if let Some(variadic) = &signature.variadic {
        return reject(variadic, "cannot take arguments");
    }
    if !signature.generics.params.is_empty() {
        return reject(&signature.generics, "cannot be generic");
    }
    if let Some(clause) = &signature.generics.where_clause {
        return reject(clause, "cannot have a `where` clause");
    }
    if let Some(keyword) = &signature.constness {
        return reject(keyword, "cannot be `const`");
    }
    if let Some(keyword) = &signature.unsafety {
        return reject(keyword, "cannot be `unsafe`");
    }
    if let Some(abi) = &signature.abi {
        return reject(abi, "cannot have a foreign ABI");
    }
    Ok(())
}

fn expand(kind: Kind, arguments: &Arguments, function: &ItemFn) -> TokenStream {
    let ItemFn { attrs, vis, sig, block } = function;
    let library = match &arguments.library {
        Some(path) => quote!(#path),
        None => quote!(::gosched),
    };
    let (settings, of_test) = (&arguments.settings, &arguments.of_test);
    let name = &sig.ident;
    // What is said in the arguments comes later, and counts.
    let named = (kind == Kind::Test).then(|| quote!(.name(::core::stringify!(#name))));
    let mut builder = quote!(#library::Runtime::builder() #named #settings);
    if let Some(keyword) = &arguments.migrate {
        // The user's own `unsafe` goes into the expansion, so that lints about it point at it.
        builder = quote!(#keyword { #builder.migrate() });
    }
    // Errors about the returned type point at that type, as they would without the attribute.
    let span = match &sig.output {
        ReturnType::Default => Span::call_site(),
        ReturnType::Type(_, returned) => Span::call_site().located_at(returned.span()),
    };
    let mut outer = sig.clone();
    outer.asyncness = None;
    let is_async = sig.asyncness.is_some();
    let (head, call) = match kind {
        Kind::Main => {
            let sigquit = arguments.sigquit.as_ref().map_or(quote!(true), |value| quote!(#value));
            let signal = quote!(#library::debug::__private::handle_sigquit(#sigquit););
            let private = quote!(#library::runtime::__private);
            let run = match is_async {
                true => quote_spanned!(span=> #private::main_async(#builder, #name())),
                false => quote_spanned!(span=> #private::main(#builder, #name)),
            };
            (None, quote!(#signal #run))
        }
        Kind::Test => {
            let private = quote!(#library::debug::__private);
            let settings = quote!(#private::Settings::new() #of_test);
            let run = if is_async { quote!(test_async) } else { quote!(test) };
            let call = quote_spanned!(span=> #private::#run(#builder, #settings, #name));
            let (output, call) = match &sig.output {
                ReturnType::Default => (ReturnType::Default, quote!(let _ = #call;)),
                ReturnType::Type(..) => (syn::parse_quote!(-> ::std::process::ExitCode), call),
            };
            outer.output = output;
            (Some(quote!(#[::core::prelude::v1::test])), call)
        }
    };
    // `#![…]` at the head of a body belongs to that body.
    let (inside, outside): (Vec<_>, Vec<_>) =
        attrs.iter().partition(|attribute| matches!(attribute.style, AttrStyle::Inner(_)));
    let statements = &block.stmts;
    quote! {
        #head
        #(#outside)*
        #vis #outer {
            #sig {
                #(#inside)*
                #(#statements)*
            }
            #call
        }
    }
}

/// The function without a runtime, in a form the compiler accepts as `main`.
fn stand_in(mut function: ItemFn) -> TokenStream {
    let signature = &mut function.sig;
    signature.asyncness = None;
    signature.constness = None;
    signature.unsafety = None;
    signature.abi = None;
    signature.variadic = None;
    signature.inputs.clear();
    signature.generics = syn::Generics::default();
    // Without its runtime the body proves nothing; leaving it out keeps its errors away, too.
    let (attrs, vis, sig) = (&function.attrs, &function.vis, &function.sig);
    quote!(#(#attrs)* #vis #sig { ::core::unreachable!() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(arguments: &str, item: &str) -> String {
        let tokens = |text: &str| text.parse::<TokenStream>().expect("the test is made of tokens");
        main(tokens(arguments), tokens(item)).to_string()
    }

    #[track_caller]
    fn rejected(arguments: &str, item: &str, message: &str) {
        let output = expanded(arguments, item);
        assert!(output.contains("compile_error !"), "accepted: {output}");
        assert!(output.contains(&format!("{message:?}")), "{output}");
        // One function, so that `main` exists.
        assert_eq!(output.matches("fn ").count(), 1, "{output}");
    }

    const MAIN: &str = "fn main() {}";

    #[test]
    fn wrong_arguments_are_named() {
        let unknown = format!("unknown argument `threads`: {EXPECTED}");
        rejected("threads = 4", MAIN, &unknown);
        rejected("4", MAIN, EXPECTED);
        rejected("workers = 4, workers = 5", MAIN, "the argument `workers` is given twice");
        rejected("os_threads, os_threads", MAIN, "the argument `os_threads` is given twice");
        rejected("unsafe(migrate), unsafe(migrate)", MAIN, "the argument `unsafe(migrate)` is given twice");
        rejected("crate = a, crate = b", MAIN, "the argument `crate` is given twice");
        rejected("workers", MAIN, "`workers` needs a value: `workers = 4`");
        rejected("workers(4)", MAIN, "`workers` needs a value: `workers = 4`");
        rejected("name = , workers = 4", MAIN, "`name` needs a value: `name = \"my-program\"`");
        rejected("crate", MAIN, "`crate` needs a value: `crate = path::to::gosched`");
        rejected("sigquit", MAIN, "`sigquit` needs a value: `sigquit = false`");
        rejected("os_threads = true", MAIN, "`os_threads` takes no value");
        rejected("workers = 4 name = \"a\"", MAIN, "expected `,`");
    }

    #[test]
    fn migration_needs_its_word() {
        let message = "started goroutines that change threads are unsafe: write `unsafe(migrate)`, \
                       and keep the contract of `runtime::Builder::migrate`";
        rejected("migrate", MAIN, message);
        for wrong in ["unsafe", "unsafe(workers)", "unsafe(migrate, workers)", "unsafe()", "unsafe = 1"] {
            rejected(wrong, MAIN, "the only unsafe argument is `unsafe(migrate)`");
        }
    }

    #[test]
    fn wrong_functions_are_named() {
        let cannot = |what| format!("`main` {what} under `#[gosched::main]`");
        rejected("", "fn main(args: Vec<String>) {}", &cannot("cannot take arguments"));
        rejected("", "fn main<T>() {}", &cannot("cannot be generic"));
        rejected("", "fn main() where u8: Copy {}", &cannot("cannot have a `where` clause"));
        rejected("", "const fn main() {}", &cannot("cannot be `const`"));
        rejected("", "unsafe fn main() {}", &cannot("cannot be `unsafe`"));
        rejected("", "extern \"C\" fn main() {}", &cannot("cannot have a foreign ABI"));
        assert!(expanded("", "struct Main;").starts_with(":: core :: compile_error !"));
    }

    #[test]
    fn the_expansion() {
        let output = expanded(
            "workers = 1 + 1, name = NAME, unsafe(migrate), os_threads, stack_size = f(), sigquit = QUIT, crate = a::b,",
            "#[cold] pub(crate) fn main() -> R { #![allow(unused)] body() }",
        );
        let expected: TokenStream = "#[cold] pub(crate) fn main() -> R {
            fn main() -> R { #![allow(unused)] body() }
            a::b::debug::__private::handle_sigquit(QUIT);
            a::b::runtime::__private::main(
                unsafe { a::b::Runtime::builder().workers(1 + 1).name(NAME).os_threads().stack_size(f()).migrate() },
                main
            )
        }"
        .parse()
        .unwrap();
        // The two differ in how `#!` is printed, which is no difference.
        assert_eq!(output.replace(' ', ""), expected.to_string().replace(' ', ""));
        let expected: TokenStream = "fn main() {
            async fn main() { x.await; }
            ::gosched::debug::__private::handle_sigquit(true);
            ::gosched::runtime::__private::main_async(::gosched::Runtime::builder(), main())
        }"
        .parse()
        .unwrap();
        assert_eq!(expanded("", "async fn main() { x.await; }"), expected.to_string());
    }

    #[test]
    fn the_expansion_of_a_test() {
        let expanded = |arguments: &str, item: &str| {
            let tokens = |text: &str| text.parse::<TokenStream>().expect("the test is made of tokens");
            test(tokens(arguments), tokens(item)).to_string()
        };
        let expected: TokenStream =
            "#[::core::prelude::v1::test] #[ignore] fn works() -> ::std::process::ExitCode {
            fn works() -> R { body() }
            ::gosched::debug::__private::test(
                ::gosched::Runtime::builder().name(::core::stringify!(works)).workers(1),
                ::gosched::debug::__private::Settings::new().timeout(T).leak_check(false),
                works
            )
        }"
            .parse()
            .unwrap();
        let output =
            expanded("timeout = T, workers = 1, leak_check = false", "#[ignore] fn works() -> R { body() }");
        assert_eq!(output, expected.to_string());
        let output = expanded("", "async fn works() {}");
        assert!(output.contains("let _ = :: gosched :: debug :: __private :: test_async ("), "{output}");
        assert!(!output.contains("ExitCode"), "{output}");

        let output = expanded("retries = 3", "fn works() {}");
        assert!(output.contains(&format!("{:?}", format!("unknown argument `retries`: {EXPECTED_OF_TEST}"))));
        let output = expanded("sigquit = true", "fn works() {}");
        assert!(output.contains("unknown argument `sigquit`"), "{output}");
        let output = expanded("", "fn works(input: u8) {}");
        assert!(output.contains("`works` cannot take arguments under `#[gosched::test]`"), "{output}");
        rejected("timeout = 1", MAIN, &format!("unknown argument `timeout`: {EXPECTED}"));
    }
}
