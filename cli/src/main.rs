//! x
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let plan = aquests::load::Plan::new(&a[1])
        .unwrap()
        .connections(a[2].parse().unwrap())
        .duration(std::time::Duration::from_secs_f64(a[3].parse().unwrap()));
    println!("{}", aquests::load::run(&plan, &aquests::load::Control::new()).unwrap());
}
