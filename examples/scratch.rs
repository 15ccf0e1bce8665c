use rooflab::backend::*; use rooflab::resource::*; use rooflab::workload::*; use rooflab::dtype::*;
fn main(){
 let mut d=backends()[0].open(0).unwrap();
 println!("{:?}", d.identity()); println!("{:?}", d.conditions()); println!("{:?} {:?}", d.timer(), d.clock());
 let mut go=|w:Workload|{ let mut it=1u64;
   match d.prepare(&w){ Err(e)=>println!("{} {e}", w.resource()), Ok(mut k)=>{ 
    for v in 0..k.variants().len(){ if let Err(e)=k.verify(v){println!("{e}");continue}
      loop{ let s=k.run(v,it).unwrap(); if s.elapsed.get()>5e-3 {break} it=(it as f64*(6e-3/s.elapsed.get().max(1e-7)).min(100.0)).ceil() as u64+1;}
      let mut r=vec![]; let mut clean=0; let mut hz=0.0; for _ in 0..25{ let s=k.run(v,it).unwrap(); if s.disturbance.is_none(){clean+=1; r.push(w.value(s.elapsed.get()/it as f64)); hz=s.clock.map_or(0.0,|c|c.get());} }
      r.sort_by(|a,b|a.total_cmp(b)); if r.is_empty(){println!("{} none clean",w.resource());continue}
      let med=r[r.len()/2]; println!("{:28} lanes {} {:>12} {:24} median {:9.2} max {:9.2} G  clean {clean}/25 clk {:.2} limit {}", w.resource().to_string(), w.lanes, rooflab::units::binary_bytes(w.footprint()), k.variants()[v], med/1e9, r[r.len()-1]/1e9, hz/1e9, k.limit(v).map_or(String::new(), |l| format!("{:.3}", med/(l.per_cycle*hz*w.lanes as f64))));
    }}}};
 for lanes in [1,2]{
 for (i,a) in [(DType::F32,DType::F32),(DType::F64,DType::F64),(DType::F16,DType::F16),(DType::Bf16,DType::F32),(DType::Int8,DType::Int32)]{ go(Workload{kind:Kind::MultiplyAdd{unit:ComputeUnit::Vector,input:i,accumulate:a},lanes}); }
 go(Workload{kind:Kind::MultiplyAdd{unit:ComputeUnit::Matrix,input:DType::Bf16,accumulate:DType::F32},lanes});
 for per in [8u64<<10,12<<10,16<<10,24<<10,28<<10,512<<10]{ for op in StreamOp::ALL{ for st in [Stores::Plain,Stores::NonTemporal]{ if *op==StreamOp::Read&&st==Stores::NonTemporal{continue} if per<(256<<20)&&st==Stores::NonTemporal{continue}
   let el=per/4/op.arrays()/256*256; go(Workload{kind:Kind::Stream{access:Access{op:*op,stores:st},elements:el},lanes}); }}}
 }
 for b in [16<<10,256<<10,4<<20,16<<20,64<<20,256<<20]{ go(Workload{kind:Kind::Chase{bytes:b,hops:1<<16},lanes:1}); }
 go(Workload{kind:Kind::Empty{overhead:Overhead::Launch},lanes:2}); go(Workload{kind:Kind::Empty{overhead:Overhead::Wake},lanes:2}); go(Workload{kind:Kind::HostCopy{direction:Direction::Memcpy,bytes:128<<20},lanes:2});
}
