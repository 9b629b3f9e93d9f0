//! What a select macro becomes.
//!
//! For `select! { recv(rx) -> value => got(value), send(tx, next()) -> _ => sent(), default => rest() }`:
//!
//! ```text
//! match () {                                    // (1)
//!     () => {
//!         use LIB::{RecvOperand as _, SendOperand as _};
//!         match ((rx).__recv_needs_a_receiver(), (tx).__send_needs_a_sender()) {          // (2)
//!             (operand0, operand1) => {
//!                 let mut arm0 = Local::of(RecvArm::new(&operand0));
//!                 let mut arm1 = Local::of(SendArm::new(&operand1));
//!                 let wait = Wait::Try;
//!                 let mut ready = Ready::new();
//!                 ready.note(0, arm0.seems_ready());                                       // (4)
//!                 ready.note(1, arm1.seems_ready());
//!                 let chosen = match ready.draw(false) {
//!                     Some(0) if arm0.try_now() => Some(0),
//!                     Some(1) if arm1.try_now() => Some(1),
//!                     drawn => run_drawn(&mut [arm0.arm(), arm1.arm()], false, wait, drawn),
//!                 };
//!                 match chosen {
//!                     Some(0) => match { let result = arm0.take(); result } {
//!                         value => got(value),  // (3)
//!                     },
//!                     Some(1) => match { let result = arm1.won().finish(next()); result } {
//!                         _ => sent(),
//!                     },
//!                     None => rest(),
//!                     _ => unreachable!(),
//!                 }
//!             }
//!         }
//!     }
//! }
//! ```
//!
//! - The user's expressions stand in the open, not in closures, loops or labelled blocks: `break`,
//!   `continue`, `return`, `?` and `.await` in them mean what they mean around the macro.
//! - Each message stands on the same path as its body and on no other, so that a value moved into a
//!   message may also be used in the other bodies.
//! - (2) Operands are borrowed by method calls, which find a channel behind references, boxes and
//!   any other `Deref`; what they return is a reference and needs no drop. What an operand creates on
//!   the way (`after(d)`, a guard) is a temporary of this `match` and lives as long as the whole
//!   select; a place is borrowed until the body begins, because by then the arms are gone.
//! - (1) An arm of a `match` ends the life of temporaries in every edition; without it those of (2)
//!   would outlive the expression, up to the end of the statement around it.
//! - (3) The same goes for the temporaries of a body: they die before the result they may borrow.
//! - (4) A case that is ready is mostly found and carried out here, where its type is known: one load for each channel,
//!   one throw of the dice, one operation. The engine, for which arms are `dyn`, is for the rest. Arms that were not chosen
//!   hold nothing, and need no dropping.
//! - An async select leaves all to its engine, which takes the arms and gives them back; those that were not chosen are
//!   then dropped before the message is made, or after the value was taken.
//! - Names of locals are hygienic (`mixed_site`), so they cannot meet the user's.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;

use super::parse::{Case, DefaultCase, Invocation, Operation};

/// How many cases `Ready` has room for.
const MOST_READY: usize = 64;

/// The expression that replaces the macro call.
pub(super) fn expand(invocation: &Invocation) -> TokenStream {
    let names = Names::new(invocation);
    if invocation.cases.is_empty() && invocation.default.is_none() {
        return wait_forever(invocation, &names);
    }
    let Names { private, operands, wait, .. } = &names;
    let imports = imports(invocation, private);
    let lookups = invocation.cases.iter().map(lookup);
    let arms = invocation.cases.iter().zip(&names.arms).zip(operands).map(|((case, arm), operand)| {
        let kind = match case.operation {
            Operation::Recv { .. } => quote!(RecvArm),
            Operation::Send { .. } => quote!(SendArm),
        };
        let new = quote!(#private::#kind::new(&#operand));
        // The blocking engine borrows the arms, the async one takes them and gives them back.
        match invocation.flavor.is_async {
            true => quote!(let #arm = #new;),
            false => quote!(let mut #arm = #private::Local::of(#new);),
        }
    });
    let how_long = how_long(invocation.default.as_ref(), private);
    let run = run(invocation, &names);
    let outcome = outcome(invocation, &names);
    quote! {
        match () {
            () => {
                #imports
                match (#(#lookups,)*) {
                    (#(#operands,)*) => {
                        #(#arms)*
                        let #wait = #how_long;
                        #run
                        #outcome
                    }
                }
            }
        }
    }
}

/// The statement that lets the engine choose.
fn run(invocation: &Invocation, names: &Names) -> TokenStream {
    let Names { private, arms, wait, ready, drawn, chosen, .. } = names;
    let biased = invocation.flavor.biased;
    if invocation.flavor.is_async {
        let list = arms.iter().rev().fold(quote!(()), |tail, arm| quote!((#arm, #tail)));
        quote!(let (#chosen, #list) = #private::select_async(#biased, #wait, #list).await;)
    } else if arms.len() > MOST_READY {
        quote!(let #chosen = #private::run(&mut [#(#arms.arm()),*], #biased, #wait);)
    } else {
        let numbers = 0..arms.len();
        let notes =
            arms.iter().zip(0u32..).map(|(arm, case)| quote!(#ready.note(#case, #arm.seems_ready());));
        quote! {
            let mut #ready = #private::Ready::new();
            #(#notes)*
            let #chosen = match #ready.draw(#biased) {
                #(::core::option::Option::Some(#numbers) if #arms.try_now() => {
                    ::core::option::Option::Some(#numbers)
                })*
                #drawn => #private::run_drawn(&mut [#(#arms.arm()),*], #biased, #wait, #drawn),
            };
        }
    }
}

/// The `match` with the branches of all cases, in the order of the user's.
fn outcome(invocation: &Invocation, names: &Names) -> TokenStream {
    let Names { arms, chosen, .. } = names;
    let branches = invocation.cases.iter().enumerate().map(|(i, case)| branch(i, case, invocation, names));
    let drop_all = drop_arms(invocation, arms);
    let default = invocation.default.as_ref().map(|DefaultCase { body, .. }| {
        quote! {
            ::core::option::Option::None => match { #drop_all } { () => #body, },
        }
    });
    quote! {
        match #chosen {
            #(#branches)*
            #default
            _ => ::core::unreachable!("the select engine chose a case that does not exist"),
        }
    }
}

/// The locals of one expansion. Their hygiene keeps them apart from the user's names.
struct Names {
    /// The path of the module with the engine.
    private: TokenStream,
    operands: Vec<Ident>,
    arms: Vec<Ident>,
    wait: Ident,
    ready: Ident,
    drawn: Ident,
    chosen: Ident,
    result: Ident,
}

impl Names {
    fn new(invocation: &Invocation) -> Names {
        let library = &invocation.library;
        let local = |name: &str| Ident::new(name, Span::mixed_site());
        let numbered =
            |name: &str| (0..invocation.cases.len()).map(|i| local(&format!("{name}{i}"))).collect();
        Names {
            private: quote!(#library::__select),
            operands: numbered("operand"),
            arms: numbered("arm"),
            wait: local("wait"),
            ready: local("ready"),
            drawn: local("drawn"),
            chosen: local("chosen"),
            result: local("result"),
        }
    }
}

/// A select that never ends: its type is `!`.
fn wait_forever(invocation: &Invocation, names: &Names) -> TokenStream {
    let private = &names.private;
    let biased = invocation.flavor.biased;
    if invocation.flavor.is_async {
        quote! {
            loop {
                #private::select_async(#biased, #private::Wait::Forever, ()).await;
            }
        }
    } else {
        quote! {
            loop {
                #private::run(&mut [], #biased, #private::Wait::Forever);
            }
        }
    }
}

/// The traits whose methods find the channel in an operand, those that are needed.
fn imports(invocation: &Invocation, private: &TokenStream) -> TokenStream {
    let receives = |case: &Case| matches!(case.operation, Operation::Recv { .. });
    let recv = invocation.cases.iter().any(receives).then(|| quote!(use #private::RecvOperand as _;));
    let send =
        invocation.cases.iter().any(|case| !receives(case)).then(|| quote!(use #private::SendOperand as _;));
    quote!(#recv #send)
}

/// The method call that finds the channel. What the method is called is all the compiler says when
/// the operand is none, hence the names; its error points at the operand.
fn lookup(case: &Case) -> TokenStream {
    match &case.operation {
        Operation::Recv { channel } => {
            let span = Span::mixed_site().located_at(channel.span());
            quote_spanned!(span=> (#channel).__recv_needs_a_receiver())
        }
        Operation::Send { channel, .. } => {
            let span = Span::mixed_site().located_at(channel.span());
            quote_spanned!(span=> (#channel).__send_needs_a_sender())
        }
    }
}

/// How long the select may wait.
fn how_long(default: Option<&DefaultCase>, private: &TokenStream) -> TokenStream {
    match default {
        None => quote!(#private::Wait::Forever),
        Some(DefaultCase { timeout: None, .. }) => quote!(#private::Wait::Try),
        Some(DefaultCase { timeout: Some(timeout), .. }) => quote!(#private::Wait::Timeout(#timeout)),
    }
}

/// What happens when the case at `index` was chosen: finish it, then its body.
fn branch(index: usize, case: &Case, invocation: &Invocation, names: &Names) -> TokenStream {
    let Names { arms, result, .. } = names;
    let arm = &arms[index];
    let drop_others = drop_arms(invocation, arms[..index].iter().chain(&arms[index + 1..]));
    let finish = match &case.operation {
        // The value first: whoever handed it over may be waiting for it to be taken.
        Operation::Recv { .. } => quote! {
            let #result = #arm.take();
            #drop_others
        },
        // A message that does not return (`return`, `break`) is the user's business, no warning.
        Operation::Send { message, .. } if invocation.flavor.is_async => quote! {
            #drop_others
            #[allow(unreachable_code, clippy::diverging_sub_expression)]
            let #result = #arm.finish_async(#message);
            let #result = #result.await;
        },
        Operation::Send { message, .. } => quote! {
            #[allow(unreachable_code, clippy::diverging_sub_expression)]
            let #result = #arm.won().finish(#message);
        },
    };
    let (pattern, body) = (&case.pattern, &case.body);
    quote! {
        ::core::option::Option::Some(#index) => match { #finish #result } { #pattern => #body, },
    }
}

/// The end of arms that were not chosen, if they are to be dropped. (`drop` itself is an error to clippy where an arm
/// happens to need none.)
fn drop_arms<'a>(invocation: &Invocation, arms: impl IntoIterator<Item = &'a Ident>) -> TokenStream {
    let mut arms = arms.into_iter().peekable();
    if arms.peek().is_none() || !invocation.flavor.is_async {
        return TokenStream::new();
    }
    let others = Ident::new("_others", Span::mixed_site());
    quote!({ let #others = (#(#arms,)*); })
}
