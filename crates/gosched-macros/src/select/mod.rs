//! `select!`, `select_biased!`, `select_async!` and `select_async_biased!`: one grammar, one
//! expansion with two switches.

mod expand;
mod parse;

#[cfg(test)]
mod tests;

use proc_macro2::{Ident, TokenStream};

/// Which of the four macros was called.
struct Flavor {
    /// The name as the user wrote it, for error messages.
    name: String,
    /// The first ready case of the list wins instead of a random one.
    biased: bool,
    /// The expansion awaits instead of blocking.
    is_async: bool,
}

impl Flavor {
    /// Reads the flavor off the macro's name.
    fn named(ident: &Ident) -> syn::Result<Flavor> {
        let name = ident.to_string();
        let (biased, is_async) = match name.as_str() {
            "select" => (false, false),
            "select_biased" => (true, false),
            "select_async" => (false, true),
            "select_async_biased" => (true, true),
            _ => return Err(syn::Error::new(ident.span(), format!("no select macro is called `{name}`"))),
        };
        Ok(Flavor { name, biased, is_async })
    }
}

/// The whole macro: tokens in, an expression or a `compile_error!` out.
pub(crate) fn select(input: TokenStream) -> TokenStream {
    match syn::parse::Parser::parse2(parse::invocation, input) {
        Ok(invocation) => expand::expand(&invocation),
        Err(error) => error.into_compile_error(),
    }
}
